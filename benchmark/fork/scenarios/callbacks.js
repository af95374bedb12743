'use strict';

// Messages per second to the child when every send has a callback; at most WINDOW callbacks are
// outstanding. Ends when all callbacks have come, each once and without an error, and the child has counted.

const { KINDS, verify } = require('../payload.js');
const { next } = require('../peer.js');

const WINDOW = 256;

async function callbacks({ start, end, kind: kindName, total }) {
  const kind = KINDS[kindName];
  const child = await start(['count', kindName]);
  await run(child, kind, Math.ceil(total / 5));
  const seconds = await run(child, kind, total);
  await end(child);
  return total / seconds;
}

async function run(child, kind, total) {
  const from = performance.now();
  const answer = next(child);
  await new Promise((resolve, reject) => {
    let sent = 0;
    let called = 0;
    const fill = () => {
      while (sent < total && sent - called < WINDOW) child.send(kind.make(sent++), written);
    };
    const written = (error) => {
      if (error) return reject(error);
      called++;
      if (called === total) resolve();
      else if (called > total) reject(new Error('a callback was called twice'));
      else fill();
    };
    fill();
  });
  child.send({ end: true });
  const report = await answer;
  const seconds = (performance.now() - from) / 1000;
  verify(report, total);
  return seconds;
}

module.exports = callbacks;
