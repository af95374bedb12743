const fs = require('node:fs');
const { fork, Fd } = require('rsipc');

async function main() {
  const child = fork(`${__dirname}/child.js`);
  const file = fs.openSync(__filename, 'r');
  const fd = new Fd(file); // a duplicate: `file` stays ours
  fs.closeSync(file);
  await child.send('read this', fd, { receipt: true });
  console.log('sent, and closed here:', fd.fd); // → sent, and closed here: -1
  child.disconnect();
}
main();
