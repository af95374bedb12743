'use strict';

// Milliseconds from calling `fork` until the child's first message; the median of several forks.

const { CHILD, begin, end, mustBePlain, next } = require('../peer.js');

async function firstMessage({ fork, total }) {
  const times = [];
  while (times.length < total) {
    const from = performance.now();
    const child = begin(fork, CHILD, ['hello']);
    const message = await next(child);
    times.push(performance.now() - from);
    mustBePlain(message);
    await end(child);
  }
  return times.sort((a, b) => a - b)[times.length >> 1];
}

module.exports = firstMessage;
