'use strict';

// Median time of a 64 B message to the child and back, one under way at a time, in microseconds.

const { KINDS } = require('../payload.js');
const { meter } = require('../meter.js');
const { warmUp } = require('../warm-up.js');
const { next } = require('../peer.js');

async function roundTrip({ start, end, settle, kind: kindName, serialization, total }) {
  const kind = KINDS[kindName];
  const child = await start(['echo', kindName], { serialization });
  await warmUp(settle, total, (part) => run(child, kind, part), child);
  const { times, cpu } = await run(child, kind, total);
  await end(child);
  return { value: times.sort((a, b) => a - b)[times.length >> 1] * 1000, cpu: cpu.map((used) => used / total) };
}

async function run(child, kind, total) {
  const used = meter();
  const times = await pingPong(child, kind, total);
  const ours = used();
  const report = next(child);
  child.send({ end: true });
  return { times, cpu: [ours, (await report).cpu] };
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
