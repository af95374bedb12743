'use strict';
// Asserts, after the last test of a file, that the file left nothing behind: no child process, no
// descriptor, no temporary file.

const assert = require('node:assert');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { before, after } = require('node:test');
const { happened, until } = require('./wait.js');

const made = [];

// A directory of this file's own, which must be empty of surprises at the end and is removed then.
function temporary() {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), `rsipc-test-${process.pid}-`));
  made.push(directory);
  return directory;
}

// A run directory of this file's own, for those that kill who has a name: its socket stays until the name is used again.
function ownRunDirectory() {
  process.env.RSIPC_RUN_DIR = path.join(temporary(), 'run');
}

// What the open descriptors are, by what they point to. Event descriptors belong to loops and threads,
// which start once for a process and stay.
function descriptors() {
  const open = [];
  const directory = fs.opendirSync('/proc/self/fd');
  try {
    for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) {
      try {
        open.push([Number(entry.name), fs.readlinkSync(`/proc/self/fd/${entry.name}`)]);
      } catch {
        // It was closed meanwhile.
      }
    }
  } finally {
    directory.closeSync();
  }
  const proc = `/proc/${process.pid}/fd`;
  // The run directory of shared memory is opened once for a process, and the bells rung last stay open.
  const run = process.env.RSIPC_RUN_DIR;
  const kept = (target) => run !== undefined && target.startsWith(run) && !target.includes('.shm');
  return new Map(open.filter(([, target]) => !target.startsWith('anon_inode:') && target !== proc && !kept(target)));
}

// Numbers of the living processes that `pid` has started. A dead one that a terminated thread has not
// waited for is not among them: Node leaves those too.
function childrenOf(pid = process.pid) {
  const children = [];
  for (const name of fs.readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = fs.readFileSync(`/proc/${name}/stat`, 'latin1');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (Number(fields[1]) === pid && fields[0] !== 'Z') children.push(Number(name));
    } catch {
      // It ended meanwhile.
    }
  }
  return children;
}

// Resolves when SIGSTOP has taken effect, which is after kill() has returned.
const stopped = (pid) => until(() => stateOf(pid) === 'T', 'the process to stop');

function stateOf(pid) {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2)[0];
  } catch {
    return undefined;
  }
}

function alive(pid) {
  const state = stateOf(pid);
  return state !== undefined && state !== 'Z';
}

// libuv keeps a descriptor for the time when there are no others, from the first stream of a loop on.
const SPARE = '/dev/null';

async function spare() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await happened(server, 'listening');
  server.close();
  await happened(server, 'close');
}

// To be called once at the top of a test file. `opens` does what a process does once and has descriptors of from then on.
function leavesNothing(opens) {
  let first;
  before(async () => {
    await spare();
    await opens?.();
    first = descriptors();
  });
  after(async () => {
    const left = () => {
      const now = descriptors();
      for (const [fd, target] of first) {
        // A spare that was used is another one afterwards.
        const same = now.get(fd) === target || target !== SPARE ? fd : [...now.keys()].find((other) => now.get(other) === SPARE);
        if (now.get(same) === target) now.delete(same);
      }
      return [...now.entries()].map(([fd, target]) => `${fd} -> ${target}`);
    };
    try {
      await until(() => childrenOf().length === 0 && left().length === 0, 'the end of children and descriptors', 5_000).catch(() => {});
      assert.deepStrictEqual(childrenOf(), [], 'child processes are still there');
      assert.deepStrictEqual(left(), [], 'descriptors are still open');
    } finally {
      for (const directory of made.splice(0)) fs.rmSync(directory, { recursive: true, force: true });
    }
  });
}

module.exports = { leavesNothing, temporary, ownRunDirectory, descriptors, childrenOf, alive, stopped };
