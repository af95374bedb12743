'use strict';

// Milliseconds from calling `fork` until the first message of a child that does not load rsipc; the median of several
// forks. The CPU time of the child is that since it began.

const path = require('node:path');
const { meter } = require('../../fork/meter.js');
const { begin, end, next } = require('../../fork/peer.js');

const CHILD = path.join(__dirname, '..', 'hello.js');

async function firstMessage({ fork, options, total }) {
  const times = [];
  const cpu = [0, 0];
  while (times.length < total) {
    const used = meter();
    const from = performance.now();
    const child = begin(fork, CHILD, [], options);
    const message = await next(child);
    times.push(performance.now() - from);
    cpu[0] += used() / total;
    cpu[1] += (message.cpu.user + message.cpu.system) / total;
    await end(child);
  }
  return { value: times.sort((a, b) => a - b)[times.length >> 1], cpu };
}

module.exports = firstMessage;
