'use strict';

// Bytes of resident memory that a server has more for each connection that has said hello and then nothing.

const childProcess = require('node:child_process');
const { mkdtempSync, rmSync } = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');
const { begin, end } = require('../../fork/peer.js');

async function idle({ hold, total }) {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'rsipc-bench-'));
  const file = path.join(directory, 'idle.sock');
  const server = await hold(total, file);
  const before = resident();
  const clients = begin(childProcess.fork, path.join(__dirname, '..', 'idle-clients.js'), [file, String(total)]);
  while (server.count() < total) await sleep(20);
  await sleep(300);
  const value = (resident() - before) / total;
  await end(clients);
  // Ten thousand ends are not what is measured.
  rmSync(directory, { recursive: true });
  setImmediate(() => process.exit());
  return { value };
}

function resident() {
  global.gc();
  global.gc();
  return process.memoryUsage().rss;
}

module.exports = idle;
