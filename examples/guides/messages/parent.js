const { fork } = require('rsipc');

async function main() {
  const child = fork(`${__dirname}/child.js`);
  const ready = await child.getOneMessage({ filter: (message) => message.ready, timeout: 10_000 });
  console.log(ready); // → { ready: true, files: 3 }

  for await (const { file } of child.getEachMessage()) { // ends with the channel
    console.log(file); // → a.txt
    // → b.txt
    // → c.txt
  }
  await child.getOneMessage().catch((error) => {
    console.log(error.code); // → ERR_RSIPC_PEER_GONE
  });
}
main();
