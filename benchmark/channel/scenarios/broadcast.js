'use strict';

// Messages delivered per second when each is sent to every one of several children, until all have counted all.

const { KINDS, verify } = require('../../fork/payload.js');
const { meter, perMessage } = require('../../fork/meter.js');
const { warmUp } = require('../../fork/warm-up.js');
const { next } = require('../../fork/peer.js');

async function broadcast({ start, end, settle, kind: kindName, peers, total }) {
  const kind = KINDS[kindName];
  const children = await Promise.all(Array.from({ length: peers }, () => start(['count', kindName])));
  await warmUp(settle, total, (part) => run(children, kind, part), ...children);
  const measured = await run(children, kind, total);
  await Promise.all(children.map(end));
  return perMessage(total * peers, measured);
}

async function run(children, kind, total) {
  const used = meter();
  const from = performance.now();
  const answers = Promise.all(children.map(next));
  await floodAll(children, kind, total);
  for (const child of children) child.send({ end: true });
  const reports = await answers;
  const seconds = (performance.now() - from) / 1000;
  const cpu = [used(), reports.reduce((sum, report) => sum + report.cpu, 0)];
  for (const report of reports) verify(report, total);
  return { seconds, cpu };
}

/** As `flood`, to all: when one of them is full, it goes on once every one has written its next message. */
async function floodAll(children, kind, total) {
  for (let sent = 0; sent < total;) {
    const message = kind.make(sent++);
    let full = false;
    for (const child of children) if (!child.send(message)) full = true;
    if (!full || sent === total) continue;
    const further = kind.make(sent++);
    await Promise.all(children.map((child) => new Promise((resolve, reject) => {
      child.send(further, (error) => error ? reject(error) : resolve());
    })));
  }
}

module.exports = broadcast;
