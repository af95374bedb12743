'use strict';

// Messages per second, both ends' together, when both send at once: until either has counted all of the other's.

const { KINDS, Tally, verify } = require('../../fork/payload.js');
const { flood } = require('../../fork/flood.js');
const { meter, perMessage } = require('../../fork/meter.js');
const { warmUp } = require('../../fork/warm-up.js');

async function bothWays({ start, end, settle, kind: kindName, total }) {
  const kind = KINDS[kindName];
  const child = await start(['both', kindName]);
  await warmUp(settle, total, (part) => run(child, kind, part), child);
  const measured = await run(child, kind, total);
  await end(child);
  return perMessage(2 * total, measured);
}

function run(child, kind, total) {
  return new Promise((resolve, reject) => {
    const tally = new Tally(kind);
    const used = meter();
    const from = performance.now();
    child.on('message', function count(message) {
      if (!message.end) return tally.add(message);
      // The child reports when it has sent all of its own and counted all of ours.
      const seconds = (performance.now() - from) / 1000;
      const cpu = [used(), message.cpu];
      child.removeListener('message', count);
      try {
        verify(message, total);
        verify(tally.report(), total);
        resolve({ seconds, cpu });
      } catch (error) {
        reject(error);
      }
    });
    child.send({ total });
    flood(child, kind, total, () => child.send({ end: true }));
  });
}

module.exports = bothWays;
