'use strict';
// The beginning of a thread that is a cluster's worker: gives it a `process.send`, makes it a worker of Node's cluster,
// and runs its program.

const { Module } = require('node:module');
const native = require('../binding.js');
const { attach } = require('../fork/attach.js');
const { CHILD } = require('../fork/roles.js');
const { settingsFrom, nativeOptions } = require('../fork/settings.js');

const COUNTED = new Set(['message', 'disconnect']); // listeners for these are a reason to stay, as in a process

const { ticket, exec, serialization } = JSON.parse(process.env.RSIPC_THREAD);

const fd = native.claimFd(ticket);
const settings = settingsFrom({ serialization, transport: 'socket' });
const channel = native.Channel.adopt(fd, nativeOptions(settings));
native.closeFd(fd);
const link = attach(process, channel, settings, CHILD);
link.start();
link.setRef(false);
process.on('newListener', (event) => COUNTED.has(event) && link.control.refCounted());
process.on('removeListener', (event) => COUNTED.has(event) && link.control.unrefCounted());

require('./inside.js');
delete process.env.RSIPC_THREAD;
// As Node does at the start of a process, which alone it takes for a worker.
require('node:cluster')._setupWorker();
delete process.env.NODE_UNIQUE_ID;

process.argv[1] = exec;
Module.runMain(exec);
