'use strict';
// The list of what `require('rsipc')` gives: node:child_process, with our channel, and what we add.

const childProcess = require('node:child_process');
const { isMainThread } = require('node:worker_threads');
const { fork, spawn } = require('./lib/fork/index.js');
const { parentLink } = require('./lib/fork/takeover.js');
const { Parent } = require('./lib/fork/parent.js');
const { Fd } = require('./lib/fork/fd.js');
const { flushOnSignals } = require('./lib/fork/exit.js');
const { version } = require('./package.json');

// Loading rsipc in a child makes the child's channel ours.
const link = parentLink();
let parent = link === null ? undefined : new Parent(link);
if (link !== null) require('./lib/fork/thread-parent.js').serveThreads(process);

module.exports = {
  ...childProcess,
  fork,
  spawn,
  Fd,
  flushOnSignals,
  version,
  // The child's side of the channel; undefined in a process that has no parent to talk to.
  get parent() {
    if (parent === undefined && !isMainThread) parent = require('./lib/fork/thread-parent.js').threadParent();
    return parent;
  },
};
