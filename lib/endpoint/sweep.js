'use strict';
// One timer for all connections that wait for something: a hello, the rest of a frame, a sign of life.
//
// Ten thousand connections with a heartbeat cost one timer. Each has `sweep(now)`, which answers whether it is to be
// called again.

const PERIOD = 250; // ms

const swept = new Set();
let timer = null;
let due = 0;

function sweepAll() {
  const now = performance.now();
  // A loop that was busy is not the peers' fault: the time in which nothing could be read does not count.
  const late = Math.max(now - due, 0);
  due = now + PERIOD;
  for (const one of swept) {
    if (!one.sweep(now, late)) swept.delete(one);
  }
  if (swept.size === 0) {
    clearInterval(timer);
    timer = null;
  }
}

function sweep(one) {
  swept.add(one);
  if (timer === null) {
    due = performance.now() + PERIOD;
    timer = setInterval(sweepAll, PERIOD).unref();
  }
}

function forget(one) {
  swept.delete(one);
}

module.exports = { sweep, forget };
