'use strict';

// MessagePort to a worker of the same process. It has no backpressure of its own: the receiver grants what the sender
// may have under way, so that large messages do not pile up.

const { spawnSync } = require('node:child_process');
const { EventEmitter } = require('node:events');
const { readlinkSync } = require('node:fs');
const path = require('node:path');
const { MessageChannel, Worker, workerData } = require('node:worker_threads');
const { KINDS } = require('../payload.js');
const { next } = require('../../fork/peer.js');

const CHILD = path.join(__dirname, '..', 'child.js');

class Port extends EventEmitter {
  constructor(port, { size }) {
    super();
    this.port = port;
    /** Messages that may be under way: 16 MiB, at most 4,096. */
    this.window = Math.max(16, Math.min(4_096, Math.floor(2 ** 24 / size)));
    this.underWay = 0;
    this.callbacks = [];
    this.received = 0;
    port.on('message', (message) => this.receive(message));
  }

  send(message, callback) {
    this.port.postMessage(message);
    this.underWay++;
    if (callback) {
      this.callbacks.push(callback);
      this.answer();
    }
    return this.underWay < this.window;
  }

  receive(message) {
    if (typeof message === 'number') {
      this.underWay -= message;
      this.answer();
      return;
    }
    this.received++;
    if (this.received === this.window / 4) {
      this.port.postMessage(this.received);
      this.received = 0;
    }
    // A Buffer arrives as the Uint8Array it is made of.
    this.emit('message', ArrayBuffer.isView(message) ? Buffer.from(message.buffer, message.byteOffset, message.byteLength) : message);
  }

  /** Calls back those who wait once half of the window is free. */
  answer() {
    if (this.callbacks.length === 0 || this.underWay > this.window / 2) return;
    this.callbacks.splice(0).forEach((callback) => callback());
  }
}

function contender({ childCpu }) {
  return {
    async start([role, kindName]) {
      const { port1, port2 } = new MessageChannel();
      const worker = new Worker(CHILD, { argv: [path.basename(__filename), role, kindName], workerData: port2, transferList: [port2] });
      worker.on('error', (error) => { throw error; });
      const port = new Port(port1, KINDS[kindName]);
      const { thread } = await next(port);
      if (childCpu !== undefined) moveThread(thread, childCpu);
      return Object.assign(port, { worker });
    },
    end({ port, worker }) {
      const ended = new Promise((resolve) => worker.once('exit', resolve));
      port.close();
      return ended;
    },
  };
}

/** Moves one thread of this process to a core. */
function moveThread(thread, cpu) {
  const { status, stderr } = spawnSync('taskset', ['-cp', String(cpu), thread], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`taskset could not move thread ${thread} to core ${cpu}: ${stderr}`);
}

/** The worker's end. */
function join(_, kind) {
  return Object.assign(new Port(workerData, kind), { thread: ownThread() });
}

/** The number the system has for this thread, where it says so. */
function ownThread() {
  try {
    return path.basename(readlinkSync('/proc/thread-self'));
  } catch {
    return undefined;
  }
}

module.exports = { contender, join };
