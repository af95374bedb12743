'use strict';
// What a test must not leave behind: descriptors and memory of this process, and a witness: an
// honest child, unmodified Node, that must be served whatever the others do.

const assert = require('node:assert');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const rsipc = require('../../index.js');

const ECHO = path.join(__dirname, 'echo.js');

// Open descriptors, each with what it is where the system tells.
function descriptors() {
  const open = new Map();
  for (const name of fs.readdirSync('/dev/fd')) {
    try {
      open.set(name, fs.existsSync('/proc/self/fd') ? fs.readlinkSync(`/proc/self/fd/${name}`) : 'open');
    } catch {
      // The one that listed the directory.
    }
  }
  return open;
}

// The same, after Node has opened what it keeps for all later children: /dev/null, its event loop's own.
async function opened() {
  const first = spawn(process.execPath, ['--version'], { stdio: ['pipe', 'pipe', 'inherit'] });
  first.stdout.resume();
  await once(first, 'close');
  return descriptors();
}

// Waits for `condition` under a watchdog: a test fails, it does not hang.
async function until(condition, what, watchdog = 10_000) {
  const deadline = Date.now() + watchdog;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert.ok(Date.now() < deadline, `waited ${watchdog} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

// The promise's outcome under the same watchdog.
function within(promise, what, watchdog = 10_000) {
  let timer;
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new assert.AssertionError({ message: `waited ${watchdog} ms for ${what}` })), watchdog);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Asserts that there are as many descriptors as before, and `more` that are meant to be there.
// Closing takes some turns of the loop.
async function settles(before, more = 0) {
  let extra = [];
  await until(() => {
    const now = descriptors();
    extra = [...now].filter(([fd, what]) => !before.has(fd) && !what.startsWith('anon_inode:[eventpoll]')).map((entry) => entry.join(' '));
    return now.size <= before.size + more;
  }, 'descriptors to be closed', 10_000).catch(() => assert.fail(`left open: ${extra.join(', ')}`));
}

// An honest child, and the proof that it is served.
class Witness {
  constructor(options) {
    // On the socket: with enough to say its channel would move, and have descriptors that it had not.
    this.child = rsipc.fork(ECHO, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], transport: 'socket', ...options });
    this.asked = 0;
  }

  async check() {
    const number = ++this.asked;
    const served = new Promise((resolve) => {
      const onMessage = (message) => {
        if (message.echo !== number) return;
        this.child.removeListener('message', onMessage);
        resolve();
      };
      this.child.on('message', onMessage);
    });
    this.child.send({ echo: number });
    await within(served, 'the witness to be served');
  }

  async end() {
    const exited = once(this.child, 'exit');
    this.child.disconnect();
    await exited;
  }
}

// Memory in use once garbage is gone, as far as it can be asked to go.
function resident() {
  if (typeof globalThis.gc === 'function') {
    globalThis.gc();
    globalThis.gc();
  }
  return process.memoryUsage.rss();
}

module.exports = { descriptors, opened, settles, until, within, Witness, resident, ECHO };
