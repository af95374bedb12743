'use strict';

// Messages per second from parent to child in a program that has just begun: nothing has been sent before, no code is
// compiled, and no channel has moved anywhere.

const { KINDS, verify } = require('../../fork/payload.js');
const { flood } = require('../../fork/flood.js');
const { meter, perMessage } = require('../../fork/meter.js');
const { next } = require('../../fork/peer.js');

async function cold({ start, end, kind: kindName, total }) {
  const kind = KINDS[kindName];
  const child = await start(['count', kindName]);
  const used = meter();
  const from = performance.now();
  const answer = next(child);
  flood(child, kind, total, () => child.send({ end: true }));
  const report = await answer;
  const seconds = (performance.now() - from) / 1000;
  const cpu = [used(), report.cpu];
  verify(report, total);
  await end(child);
  return perMessage(total, { seconds, cpu });
}

module.exports = cold;
