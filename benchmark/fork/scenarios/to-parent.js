'use strict';

// Messages per second from child to parent: from the request until the last has been counted here.

const { KINDS, Tally, verify } = require('../payload.js');
const { end, start } = require('../peer.js');

async function toParent({ fork, childCpu, kind: kindName, serialization, total }) {
  const kind = KINDS[kindName];
  const child = await start(fork, childCpu, ['flood', kindName], { serialization });
  await run(child, kind, Math.ceil(total / 5));
  const seconds = await run(child, kind, total);
  await end(child);
  return total / seconds;
}

function run(child, kind, total) {
  return new Promise((resolve, reject) => {
    const tally = new Tally(kind);
    const from = performance.now();
    child.on('message', function count(message) {
      if (!message.end) return tally.add(message);
      const seconds = (performance.now() - from) / 1000;
      child.removeListener('message', count);
      try {
        verify(tally.report(), total);
        resolve(seconds);
      } catch (error) {
        reject(error);
      }
    });
    child.send({ total });
  });
}

module.exports = toParent;
