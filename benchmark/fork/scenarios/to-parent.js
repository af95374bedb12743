'use strict';

// Messages per second from child to parent: from the request until the last has been counted here.

const { KINDS, Tally, verify } = require('../payload.js');
const { meter, perMessage } = require('../meter.js');
const { warmUp } = require('../warm-up.js');

async function toParent({ start, end, settle, kind: kindName, serialization, total }) {
  const kind = KINDS[kindName];
  const child = await start(['flood', kindName], { serialization });
  await warmUp(settle, total, (part) => run(child, kind, part), child);
  const measured = await run(child, kind, total);
  await end(child);
  return perMessage(total, measured);
}

function run(child, kind, total) {
  return new Promise((resolve, reject) => {
    const tally = new Tally(kind);
    const used = meter();
    const from = performance.now();
    child.on('message', function count(message) {
      if (!message.end) {
        tally.add(message);
        child.release?.(message);
        return;
      }
      const seconds = (performance.now() - from) / 1000;
      const cpu = [used(), message.cpu];
      child.removeListener('message', count);
      try {
        verify(tally.report(), total);
        resolve({ seconds, cpu });
      } catch (error) {
        reject(error);
      }
    });
    child.send({ total });
  });
}

module.exports = toParent;
