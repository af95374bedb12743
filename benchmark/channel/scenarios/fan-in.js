'use strict';

// Messages received per second when several children send at once, from the request until the last is counted here.

const { KINDS, Tally, verify } = require('../../fork/payload.js');
const { meter, perMessage } = require('../../fork/meter.js');
const { warmUp } = require('../../fork/warm-up.js');

async function fanIn({ start, end, settle, kind: kindName, peers, total }) {
  const kind = KINDS[kindName];
  const children = await Promise.all(Array.from({ length: peers }, () => start(['flood', kindName])));
  await warmUp(settle, total, (part) => run(children, kind, part), ...children);
  const measured = await run(children, kind, total);
  await Promise.all(children.map(end));
  return perMessage(total * peers, measured);
}

async function run(children, kind, total) {
  const used = meter();
  const from = performance.now();
  const reports = await Promise.all(children.map((child) => collect(child, kind, total)));
  const seconds = (performance.now() - from) / 1000;
  const cpu = [used(), reports.reduce((sum, report) => sum + report.cpu, 0)];
  for (const report of reports) verify(report, total);
  return { seconds, cpu };
}

/** Asks a child for `total` messages and counts them; resolves to what has come when it says that this was all. */
function collect(child, kind, total) {
  return new Promise((resolve) => {
    const tally = new Tally(kind);
    child.on('message', function count(message) {
      if (!message.end) return tally.add(message);
      child.removeListener('message', count);
      resolve({ ...tally.report(), cpu: message.cpu });
    });
    child.send({ total });
  });
}

module.exports = fanIn;
