'use strict';

// Messages per second from parent to child, until the child has counted them all and answered.

const { KINDS, verify } = require('../payload.js');
const { flood } = require('../flood.js');
const { meter, perMessage } = require('../meter.js');
const { warmUp } = require('../warm-up.js');
const { next } = require('../peer.js');

async function toChild({ start, end, settle, kind: kindName, serialization, total }) {
  const kind = KINDS[kindName];
  const child = await start(['count', kindName], { serialization });
  await warmUp(settle, total, (part) => run(child, kind, part), child);
  const measured = await run(child, kind, total);
  await end(child);
  return perMessage(total, measured);
}

async function run(child, kind, total) {
  const used = meter();
  const from = performance.now();
  const answer = next(child);
  flood(child, kind, total, () => child.send({ end: true }));
  const report = await answer;
  const seconds = (performance.now() - from) / 1000;
  const cpu = [used(), report.cpu];
  verify(report, total);
  return { seconds, cpu };
}

module.exports = toChild;
