'use strict';

// Messages per second from parent to child, until the child has counted them all and answered.

const { KINDS, verify } = require('../payload.js');
const { flood } = require('../flood.js');
const { end, next, start } = require('../peer.js');

async function toChild({ fork, childCpu, kind: kindName, serialization, total }) {
  const kind = KINDS[kindName];
  const child = await start(fork, childCpu, ['count', kindName], { serialization });
  await run(child, kind, Math.ceil(total / 5));
  const seconds = await run(child, kind, total);
  await end(child);
  return total / seconds;
}

async function run(child, kind, total) {
  const from = performance.now();
  const answer = next(child);
  flood(child, kind, total, () => child.send({ end: true }));
  const report = await answer;
  const seconds = (performance.now() - from) / 1000;
  verify(report, total);
  return seconds;
}

module.exports = toChild;
