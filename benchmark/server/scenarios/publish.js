'use strict';

// Messages delivered per second when one call sends each to all of several other processes, until all have counted all.

const { KINDS, verify } = require('../../fork/payload.js');
const { meter, perMessage } = require('../../fork/meter.js');
const { warmUp } = require('../../fork/warm-up.js');
const { next } = require('../../fork/peer.js');

async function publish({ group, kind: kindName, peers, total }) {
  const kind = KINDS[kindName];
  const all = await group(peers, ['count', kindName]);
  await warmUp(undefined, total, (part) => run(all, kind, part));
  const measured = await run(all, kind, total);
  await all.end();
  return perMessage(total * peers, measured);
}

async function run({ children, publish: send }, kind, total) {
  const used = meter();
  const from = performance.now();
  const answers = Promise.all(children.map(next));
  for (let sent = 0; sent < total; sent++) {
    const room = send(kind.make(sent));
    if (room !== null) await room;
    else if (sent % 1_024 === 1_023) await new Promise(setImmediate);
  }
  for (const child of children) child.send({ end: true });
  const reports = await answers;
  const seconds = (performance.now() - from) / 1000;
  const cpu = [used(), reports.reduce((sum, report) => sum + report.cpu, 0)];
  for (const report of reports) verify(report, total);
  return { seconds, cpu };
}

module.exports = publish;
