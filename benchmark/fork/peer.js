'use strict';

// Starts, pins, awaits and ends the other process of a measurement.

const { spawnSync } = require('node:child_process');
const path = require('node:path');

const CHILD = path.join(__dirname, 'child.js');
const PLAIN = new Set(['child.js', 'flood.js', 'meter.js', 'payload.js', 'roles.js'].map((name) => path.join(__dirname, name)));

const started = new Set();
process.on('exit', () => {
  for (const child of started) child.kill('SIGKILL');
});

/** Forks with the `fork` under test; a child that ends before `end` was called fails the measurement. */
function begin(fork, file, args, options = {}) {
  // `fork` would pass on our own flags. A plain child stays plain: `transport` is no option of Node's.
  const child = fork(file, args, { transport: 'socket', ...options, execArgv: [] });
  started.add(child);
  child.on('error', (error) => { throw error; });
  child.on('exit', (code, signal) => {
    started.delete(child);
    if (!child.ending) throw new Error(`the child ended early: ${signal ?? `code ${code}`}`);
  });
  return child;
}

/** Forks a child in the given role, waits until it is up, and moves it to `cpu`. */
async function start(fork, cpu, args, options) {
  const child = begin(fork, CHILD, args, options);
  mustBePlain(await next(child));
  pin(child.pid, cpu);
  return child;
}

/** Throws if anything but our own few files was loaded into the child. */
function mustBePlain({ modules, execArgv, nodeOptions }) {
  const foreign = modules.filter((file) => !PLAIN.has(file));
  if (foreign.length > 0 || execArgv.length > 0 || nodeOptions !== '') {
    throw new Error(`the child is not plain Node: ${JSON.stringify({ foreign, execArgv, nodeOptions })}`);
  }
}

/** Moves every thread of a process to one core; without a core it leaves the process alone. */
function pin(pid, cpu) {
  if (cpu === undefined) return;
  const { status, stderr } = spawnSync('taskset', ['-acp', String(cpu), String(pid)], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`taskset could not move process ${pid} to core ${cpu}: ${stderr}`);
}

/** The next message of a child. */
function next(child) {
  return new Promise((resolve) => child.once('message', resolve));
}

/** Lets a child go and waits until it has ended by itself. */
function end(child) {
  return new Promise((resolve, reject) => {
    child.ending = true;
    child.once('exit', (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`the child ended with ${signal ?? `code ${code}`}`));
    });
    child.disconnect();
  });
}

module.exports = { CHILD, begin, end, mustBePlain, next, pin, start };
