const { fork, channelPair } = require('rsipc');

async function main() {
  const [a, b] = channelPair();
  const one = fork(`${__dirname}/child.js`);
  const other = fork(`${__dirname}/child.js`);
  // The receipt also finds out that the children are rsipc, without which no end is given.
  await one.send('ask', a, { receipt: true });
  await other.send('answer', b, { receipt: true });
  console.log('ours still:', a.connected, b.connected); // → ours still: false false
  one.disconnect();
  other.disconnect(); // the two go on without their parent
}
main();
