const { fork } = require('rsipc');

async function main() {
  const child = fork(`${__dirname}/child.js`);
  await child.send('one', null, { receipt: true });
  console.log('a listener has it'); // → a listener has it

  await child.send('stop listening', null, { receipt: true });
  await child.send('two', null, { receipt: true, timeout: 200 }).catch((error) => {
    console.log(error.code); // → ERR_RSIPC_NO_LISTENER
  });

  const last = child.send('three', null, { receipt: true });
  child.kill();
  await last.catch((error) => {
    console.log(error.code); // → ERR_RSIPC_PEER_GONE
  });
}
main();
