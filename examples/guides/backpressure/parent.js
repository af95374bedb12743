const { fork } = require('rsipc');

const child = fork(`${__dirname}/child.js`, { highWaterMark: { messages: 100 } });
child.channel.on('drain', () => { drains++; });
let drains = 0;
let waits = 0;
let most = 0;

async function main() {
  for (let number = 0; number < 5_000; number++) {
    const below = child.send({ number, text: 'x'.repeat(1_000) });
    most = Math.max(most, child.channel.queued.messages);
    if (!below) {
      waits++;
      await child.channel.ready();
    }
  }
  console.log('waited:', waits > 0, 'drained:', drains > 0); // → waited: true drained: true
  console.log('never more than the high-water mark:', most <= 100); // → never more than the high-water mark: true
  child.disconnect();
}
main();
