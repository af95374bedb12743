const { fork } = require('rsipc');

async function main() {
  const child = fork(`${__dirname}/child.js`);
  await child.send('work', null, { receipt: true }); // would be ERR_RSIPC_PLAIN_PEER without the preloaded file
  console.log('a listener has it'); // → a listener has it
  child.disconnect();

  const plain = fork(`${__dirname}/child.js`, { transport: 'socket' }); // nothing is preloaded
  await plain.send('work', null, { receipt: true, timeout: 500 }).catch((error) => {
    console.log(error.code); // → ERR_RSIPC_PLAIN_PEER
  });
  plain.disconnect();
}
main();
