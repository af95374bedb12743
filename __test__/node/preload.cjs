'use strict';
// Puts a module's functions in the place of `node:child_process`'s before one of Node's own test files runs.
//
// execute.mjs writes a small file that calls this with its settings and starts the test with `--require` of that file.
// The settings travel that way because tests compare environments, pass their own to children and count what they find
// there: a variable of ours, or NODE_OPTIONS, would be seen by them and by every process below.

const path = require('node:path');

const FUNCTIONS = ['exec', 'execFile', 'execFileSync', 'execSync', 'fork', 'spawn', 'spawnSync'];

/**
 * @param {object} settings
 * @param {string} settings.loader   the file given to `--require`
 * @param {string} settings.entry    the module to install: a path, or `node:child_process` itself
 * @param {string} settings.children `stock`: only the test process gets the module; `inherit`: what it forks does too
 * @param {string} [settings.trace]  file that gets a line for each call that reaches the module
 */
module.exports = function install({ loader, entry, children, trace }) {
  if (children === 'stock') withdraw(loader);
  const builtin = require('node:child_process');
  // The module is loaded before anything is replaced: what it takes from `node:child_process` has to be Node's.
  const ours = require(entry);
  const note = trace === undefined ? undefined : noteTo(trace);
  for (const name of [...FUNCTIONS, 'ChildProcess']) {
    if (typeof ours[name] !== 'function') continue;
    builtin[name] = note === undefined ? ours[name] : watch(ours[name], name, note);
  }
  if (ours !== builtin && ours.cluster !== undefined) installCluster(entry, note);
  // For `import { fork } from 'node:child_process'`, which sees copies.
  require('node:module').syncBuiltinESMExports();
};

/**
 * Takes the loader out of `process.execArgv`, which is what `fork` and `cluster` give to children. The array is changed
 * in place, since somebody may hold it already.
 */
function withdraw(loader) {
  const at = process.execArgv.indexOf(loader);
  if (at > 0) process.execArgv.splice(at - 1, 2);
}

/**
 * Turns Node's own cluster into the module's, in a primary, as `rsipc/register` does. A worker keeps Node's worker side,
 * which is the one that the primary's protocol is spoken with.
 */
function installCluster(entry, note) {
  const cluster = require('node:cluster');
  require(path.join(path.dirname(require.resolve(entry)), 'lib/cluster/index.js')).installEverywhere();
  if (note !== undefined && cluster.isPrimary) cluster.fork = watch(cluster.fork, 'cluster.fork', note);
}

/** A stand-in for `fn` that differs from it in nothing but the note it leaves. */
function watch(fn, name, note) {
  return new Proxy(fn, {
    apply(target, self, args) {
      note(name === 'spawn' && asksForChannel(args) ? 'spawn+ipc' : name);
      return Reflect.apply(target, self, args);
    },
    construct(target, args, newTarget) {
      note(`new ${name}`);
      return Reflect.construct(target, args, newTarget);
    },
  });
}

function asksForChannel(args) {
  const options = args.find((arg) => typeof arg === 'object' && arg !== null && !Array.isArray(arg));
  return Array.isArray(options?.stdio) && options.stdio.includes('ipc');
}

function noteTo(trace) {
  // Taken now: tests replace functions of fs.
  const { appendFileSync } = require('node:fs');
  return (line) => {
    try {
      appendFileSync(trace, `${line}\n`);
    } catch {
      // A test of the permission model may not write. The call counts as unseen, the test must not notice.
    }
  };
}
