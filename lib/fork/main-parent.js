'use strict';
// `rsipc.parent` in the main thread, with what rsipc adds to a channel. `process.send` and
// `process.on('message')` are the same channel.

const EventEmitter = require('node:events');
const { getOneMessage, getEachMessage } = require('./messages.js');

const FORWARDED = ['message', 'disconnect', 'protocolError', 'handleProblem', 'handleTimeout'];

class Parent extends EventEmitter {
  #link;

  constructor(link) {
    super();
    this.#link = link;
    // A listener here is a listener on `process`, so it keeps the process alive as one there does.
    const forwards = new Map();
    this.on('newListener', (event) => {
      if (!FORWARDED.includes(event) || forwards.has(event)) return;
      const forward = (...values) => this.emit(event, ...values);
      forwards.set(event, forward);
      process.on(event, forward);
    });
    this.on('removeListener', (event) => {
      if (!forwards.has(event) || this.listenerCount(event) > 0) return;
      process.removeListener(event, forwards.get(event));
      forwards.delete(event);
    });
  }

  get connected() {
    return process.connected === true;
  }

  get channel() {
    return process.channel ?? null;
  }

  get pid() {
    return process.ppid;
  }

  send(...args) {
    return process.send(...args);
  }

  disconnect() {
    process.disconnect();
  }

  request(body, options) {
    return this.#link.peer.request(body, options);
  }

  onRequest(handler) {
    this.#link.peer.onRequest(handler, this);
  }

  getOneMessage(options) {
    return getOneMessage(process, () => this.#link.who(), options);
  }

  getEachMessage(options) {
    return getEachMessage(process, this.#link, options);
  }
}

module.exports = { Parent };
