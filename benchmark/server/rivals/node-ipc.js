'use strict';

// node-ipc 9.2.1, the last version before it was tampered with, over a UNIX socket with its own framing.

const childProcess = require('node:child_process');
const { EventEmitter } = require('node:events');
const os = require('node:os');
const path = require('node:path');
const { begin, end, next, pin } = require('../../fork/peer.js');

const { IPC } = require(path.join(__dirname, '../../../.cache/server-rivals/node_modules/node-ipc'));

const CHILD = path.join(__dirname, '../../channel/child.js');

function configured() {
  const ipc = new IPC();
  Object.assign(ipc.config, { silent: true, socketRoot: '', appspace: '', maxRetries: 0 });
  return ipc;
}

/** `send` has no answer and no callback; the socket's own tells when it is full. */
class Link extends EventEmitter {
  constructor(write, socket) {
    super();
    this.write = write;
    this.socket = socket;
  }

  send(message, callback) {
    this.write(message);
    if (callback) {
      if (this.socket.writableNeedDrain) this.socket.once('drain', () => callback(null));
      else setImmediate(callback, null);
    }
    return !this.socket.writableNeedDrain;
  }
}

let opened = 0;

function contender({ childCpu }) {
  return {
    async start([role, kindName], options) {
      const address = path.join(os.tmpdir(), `rsipc-bench-${process.pid}-${++opened}.sock`);
      const ipc = configured();
      const accepted = new Promise((resolve) => {
        ipc.serve(address, () => ipc.server.on('connect', resolve));
      });
      ipc.server.start();
      const child = begin(childProcess.fork, CHILD, [path.relative(path.join(CHILD, '../rivals'), __filename), role, kindName, address], options);
      const socket = await accepted;
      const link = new Link((message) => ipc.server.emit(socket, 'm', message), socket);
      ipc.server.on('m', (message, from) => from === socket && link.emit('message', message));
      await next(link);
      pin(child.pid, childCpu);
      return Object.assign(link, { child, ipc });
    },
    end({ ipc, child }) {
      ipc.server.stop();
      child.ending = true;
      return end(child);
    },
  };
}

/** The child's end. */
function join(address) {
  const ipc = configured();
  const early = [];
  const link = new EventEmitter();
  link.send = (message) => early.push(message);
  ipc.connectTo('peer', address, () => {
    const { peer } = ipc.of;
    peer.on('connect', () => {
      const real = new Link((message) => peer.emit('m', message), peer.socket);
      link.send = (message, callback) => real.send(message, callback);
      for (const message of early.splice(0)) real.send(message);
    });
    peer.on('m', (message) => link.emit('message', message));
    process.on('disconnect', () => process.exit());
  });
  return link;
}

module.exports = { contender, join };
