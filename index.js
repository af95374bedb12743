'use strict';
// The list of what `require('rsipc')` gives: node:child_process, with our channel, and what we add.
// What a program may never use is loaded when it is asked for.

const childProcess = require('node:child_process');
const { VERSION } = require('./lib/binding.js');
const { fork, spawn } = require('./lib/fork/index.js');
const { parent } = require('./lib/fork/parent.js');

// Loading rsipc in a child makes the child's channel ours.
parent();

module.exports = {
  ...childProcess,
  fork,
  spawn,
  // The child's side of the channel; undefined in a process that has no parent to talk to.
  get parent() {
    return parent();
  },
  get cluster() {
    return require('./lib/cluster/index.js').cluster();
  },
  get Fd() {
    return require('./lib/fork/fd.js').Fd;
  },
  get ChannelEnd() {
    return require('./lib/fork/channel-end.js').ChannelEnd;
  },
  get channelPair() {
    return require('./lib/fork/channel-end.js').channelPair;
  },
  // A Buffer that is sent without a copy.
  get alloc() {
    return require('./lib/slabs.js').alloc;
  },
  // Gives the memory of a Buffer back that was received by view.
  get release() {
    return require('./lib/slabs.js').releaseMemory;
  },
  get flushOnSignals() {
    return require('./lib/fork/exit.js').flushOnSignals;
  },
  get Ring() {
    return require('./lib/shared/index.js').Ring;
  },
  get SharedMemory() {
    return require('./lib/shared/index.js').SharedMemory;
  },
  get Cell() {
    return require('./lib/shared/index.js').Cell;
  },
  get SharedMap() {
    return require('./lib/shared/index.js').SharedMap;
  },
  get Mutex() {
    return require('./lib/shared/index.js').Mutex;
  },
  get RwLock() {
    return require('./lib/shared/index.js').RwLock;
  },
  get Semaphore() {
    return require('./lib/shared/index.js').Semaphore;
  },
  get Event() {
    return require('./lib/shared/index.js').Event;
  },
  get Barrier() {
    return require('./lib/shared/index.js').Barrier;
  },
  get peek() {
    return require('./lib/endpoint/peek.js').peek;
  },
  get notify() {
    return require('./lib/endpoint/notify.js').notify;
  },
  get serve() {
    return require('./lib/endpoint/index.js').serve;
  },
  get httpOver() {
    return require('./lib/endpoint/index.js').httpOver;
  },
  get connect() {
    return require('./lib/endpoint/index.js').connect;
  },
  get openBus() {
    return require('./lib/bus/index.js').openBus;
  },
  get BroadcastChannel() {
    return require('./lib/bus/index.js').BroadcastChannel;
  },
  get version() {
    return VERSION;
  },
};
