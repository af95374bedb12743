'use strict';

// Median time of a 64 B message to the child and back, one under way at a time, in microseconds.

const { KINDS } = require('../payload.js');
const { end, start } = require('../peer.js');

async function roundTrip({ fork, childCpu, kind: kindName, total }) {
  const kind = KINDS[kindName];
  const child = await start(fork, childCpu, ['echo', kindName]);
  await pingPong(child, kind, total);
  const times = await pingPong(child, kind, total);
  await end(child);
  return times.sort((a, b) => a - b)[times.length >> 1] * 1000;
}

/** `total` round trips; resolves to the milliseconds of each. */
function pingPong(child, kind, total) {
  return new Promise((resolve) => {
    const times = [];
    let sent;
    const ping = () => {
      sent = performance.now();
      child.send(kind.make(times.length));
    };
    child.on('message', function pong(message) {
      const index = kind.index(message);
      if (index !== times.length) throw new Error(`message ${times.length} came back as ${index}`);
      times.push(performance.now() - sent);
      if (times.length < total) return ping();
      child.removeListener('message', pong);
      resolve(times);
    });
    ping();
  });
}

module.exports = roundTrip;
