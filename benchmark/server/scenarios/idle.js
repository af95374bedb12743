'use strict';

// Bytes of resident memory that a server has more for each connection that has said hello and then nothing.

const childProcess = require('node:child_process');
const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');
const { begin, end } = require('../../fork/peer.js');

async function idle({ hold, total }) {
  const server = await hold(total);
  const before = resident();
  const clients = begin(childProcess.fork, path.join(__dirname, '..', 'idle-clients.js'), [server.path, String(total)]);
  while (server.count() < total) await sleep(20);
  await sleep(300);
  const value = (resident() - before) / total;
  await end(clients);
  // Ten thousand ends are not what is measured.
  setImmediate(() => process.exit());
  return { value };
}

function resident() {
  global.gc();
  global.gc();
  return process.memoryUsage().rss;
}

module.exports = idle;
