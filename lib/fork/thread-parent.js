'use strict';
// `rsipc.parent` in a worker thread of the child.
//
// A thread writes to the channel itself. What the parent sends is read by the main thread, which hands
// a copy of each message to the threads that listen.

const EventEmitter = require('node:events');
const { BroadcastChannel, isMainThread, threadId } = require('node:worker_threads');
const native = require('../binding.js');
const { node, rsipc, systemError } = require('../errors.js');
const validate = require('../validate.js');
const { serializeWhole } = require('./serialization.js');
const { DEFAULTS } = require('./settings.js');

const NAME = `rsipc.parent.${process.pid}`;

// In the main thread: hands messages on to the threads that ask for them, once there are threads.
function serveThreads(target) {
  let drop = null;
  process.on('worker', (worker) => {
    drop ??= serve(target);
    // A thread that ends, or is terminated, says nothing itself.
    const { threadId: thread } = worker;
    worker.once('exit', () => drop(thread));
  });
}

// Answers how a thread is taken off the list.
function serve(target) {
  const port = new BroadcastChannel(NAME);
  const listening = new Set();
  const onMessage = (message) => port.postMessage({ event: 'message', message });
  const onDisconnect = () => port.postMessage({ event: 'disconnect' });
  port.onmessage = ({ data }) => {
    if (data.listen === true) {
      if (listening.size === 0) {
        target.on('message', onMessage);
        target.on('disconnect', onDisconnect);
      }
      listening.add(data.thread);
    } else if (data.listen === false) {
      drop(data.thread);
    }
  };
  port.unref();
  const drop = (thread) => {
    if (!listening.delete(thread) || listening.size > 0) return;
    target.removeListener('message', onMessage);
    target.removeListener('disconnect', onDisconnect);
  };
  return drop;
}

class ThreadParent extends EventEmitter {
  #sender;
  #advanced;
  #port = null;

  constructor(sender, advanced) {
    super();
    this.#sender = sender;
    this.#advanced = advanced;
    const counted = () => this.listenerCount('message') + this.listenerCount('disconnect');
    this.on('newListener', (event) => {
      if ((event === 'message' || event === 'disconnect') && this.#port === null) this.#listen();
    });
    this.on('removeListener', () => {
      if (this.#port === null || counted() > 0) return;
      this.#port.postMessage({ listen: false, thread: threadId });
      this.#port.close();
      this.#port = null;
    });
  }

  #listen() {
    this.#port = new BroadcastChannel(NAME);
    this.#port.onmessage = ({ data }) => {
      if (data.event === 'message') this.emit('message', data.message);
      else if (data.event === 'disconnect') {
        this.emit('disconnect');
        this.#port?.unref();
      }
    };
    this.#port.postMessage({ listen: true, thread: threadId });
  }

  get connected() {
    return this.#sender.connected;
  }

  get pid() {
    return process.ppid;
  }

  // As `process.send`, without handles and receipts: those belong to the main thread's loop.
  send(message, handle, options, callback) {
    if (typeof handle === 'function') {
      callback = handle;
      handle = undefined;
      options = undefined;
    } else if (typeof options === 'function') {
      callback = options;
      options = undefined;
    } else if (options !== undefined) {
      validate.object(options, 'options');
    }
    if (handle) throw rsipc.threadHandle();
    if (options?.receipt) throw node.invalidValue('options.receipt', options.receipt, 'is not possible in a worker thread');
    if (!this.connected) {
      this.#tell(node.channelClosed(), callback);
      return false;
    }
    if (message === undefined) throw node.missingMessage();
    if (!['string', 'object', 'number', 'boolean'].includes(typeof message)) throw node.invalidMessage(message);
    let code;
    if (this.#advanced) {
      code = this.#sender.sendBytes(serializeWhole(message));
    } else {
      const text = JSON.stringify(message);
      if (text === undefined) throw rsipc.notSerializable();
      code = this.#sender.send(text, text.length);
    }
    if (code < 0) {
      if (!options?.swallowErrors) this.#tell(this.connected ? systemError(code, 'write') : node.channelClosed(), callback);
      return true;
    }
    if (typeof callback === 'function') process.nextTick(callback, null);
    return this.#sender.queuedBytes < DEFAULTS.highWaterMark.bytes;
  }

  #tell(error, callback) {
    if (typeof callback === 'function') process.nextTick(callback, error);
    else process.nextTick(() => this.emit('error', error));
  }
}

// The thread's parent, or undefined when the process has none or its main thread has not loaded rsipc.
function threadParent() {
  if (isMainThread || native.ThreadSender === undefined) return undefined;
  const sender = native.ThreadSender.find();
  return sender ? new ThreadParent(sender, sender.advanced) : undefined;
}

module.exports = { serveThreads, threadParent };
