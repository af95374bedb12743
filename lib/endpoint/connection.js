'use strict';
// What the user has of a connection.

const EventEmitter = require('node:events');
const { node, rsipc, abortError } = require('../errors.js');
const validate = require('../validate.js');
const bytes = require('./bytes.js');
const text = require('./text.js');
const { Link } = require('./link.js');
const { Reader } = require('./reader.js');
const { CONNECTING, OPEN, CLOSED } = require('./state.js');
const { LONGEST_TIMER } = require('./settings.js');

const TOKEN = Symbol('rsipc.connection');
let handlesModule; // loaded by the first message that has some
let linkOf; // what is behind a connection

async function tell(taken, callback) {
  let failure = null;
  try {
    await taken;
  } catch (error) {
    failure = error;
  }
  process.nextTick(callback, failure); // what it throws is thrown
}

class Connection extends EventEmitter {
  #link;
  #handlers = null; // by name; the server's are asked behind them

  // Made by `serve` and `connect`.
  constructor(token, endpoint, settings, server) {
    if (token !== TOKEN) throw node.illegalConstructor();
    super();
    this.endpoint = endpoint;
    this.unheard = 0;
    this.#link = new Link(this, settings, settings.form ?? (settings.framing === 'bytes' ? bytes : text), server);
  }

  static {
    linkOf = (connection) => connection.#link;
  }

  // ---- sending ----

  send(message, handles, callback) {
    if (typeof handles === 'function') {
      callback = handles;
      handles = undefined;
    }
    if (callback !== undefined) validate.callable(callback, 'callback');
    const link = this.#link;
    const taken = handles === undefined ? link.codec.message(link, message) : (handlesModule ??= require('./handles.js')).send(link, message, handles);
    if (callback !== undefined) tell(taken, callback);
    return taken;
  }

  request(name, body, options = {}) {
    if (typeof name !== 'string') throw node.invalidType('name', 'of type string', name);
    validate.object(options, 'options');
    if (options.timeout !== undefined) validate.number(options.timeout, 'options.timeout');
    validate.signal(options.signal, 'options.signal');
    return this.#link.rpc().ask(name, body, options);
  }

  notify(method, params) {
    if (typeof method !== 'string') throw node.invalidType('method', 'of type string', method);
    if (!this.#link.settings.jsonRpc) throw node.invalidValue('method', method, 'needs a connection with jsonRpc; with other codecs, send(message) is what nobody answers');
    return require('./json-rpc.js').notify(this.#link, method, params);
  }

  handle(name, handler) {
    if (typeof name !== 'string') throw node.invalidType('name', 'of type string', name);
    if (handler === null) {
      this.#handlers?.delete(name);
      return this;
    }
    validate.callable(handler, 'handler');
    this.#handlers ??= new Map();
    this.#handlers.set(name, handler);
    return this;
  }

  handlerOf(name) {
    return this.#handlers?.get(name) ?? this.#link.server?.handlers.get(name);
  }

  // Resolves when there is room for more.
  ready(options = {}) {
    validate.object(options, 'options');
    const { timeout = Infinity, signal } = options;
    validate.number(timeout, 'options.timeout');
    validate.signal(signal, 'options.signal');
    const link = this.#link;
    if (link.state > OPEN || link.leaving) return Promise.reject(rsipc.connectionClosed(link.who()));
    if (link.queued <= link.settings.highWaterMark && link.state === OPEN) return Promise.resolve();
    const room = link.room();
    if (timeout > LONGEST_TIMER && signal === undefined) return room;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(abortError(signal));
      const settle = (then, value) => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        then(value);
      };
      const onAbort = () => settle(reject, abortError(signal));
      const timer = timeout > LONGEST_TIMER ? undefined : setTimeout(() => settle(reject, rsipc.waitTimeout('Waiting for room', timeout)), timeout);
      signal?.addEventListener('abort', onAbort, { once: true });
      room.then(() => settle(resolve), (error) => settle(reject, error));
    });
  }

  // ---- listening ----

  on(name, listener) {
    super.on(name, listener);
    if (name === 'message') this.#link.listens();
    return this;
  }

  addListener(name, listener) {
    return this.on(name, listener);
  }

  prependListener(name, listener) {
    super.prependListener(name, listener);
    if (name === 'message') this.#link.listens();
    return this;
  }

  [Symbol.asyncIterator]() {
    return new Reader(this.#link);
  }

  pause() {
    this.#link.pause('user', true);
    return this;
  }

  resume() {
    this.#link.pause('user', false);
    return this;
  }

  // ---- what it is ----

  get connected() {
    return this.#link.state === OPEN;
  }

  get connecting() {
    return this.#link.state === CONNECTING;
  }

  get closed() {
    return this.#link.state === CLOSED;
  }

  // Why it has ended, if not in order.
  get error() {
    return this.#link.failure;
  }

  get peer() {
    return this.#link.peer;
  }

  get codec() {
    return this.#link.settings.codec;
  }

  get queued() {
    const link = this.#link;
    return link.queued + link.text.length + (link.outgoing === null ? 0 : link.outgoing.encoder.size);
  }

  get dropped() {
    return this.#link.dropped;
  }

  // What became of datagrams; null where there are none.
  get datagrams() {
    return this.#link.counters && { ...this.#link.counters };
  }

  ref() {
    this.#link.setRef(true);
    return this;
  }

  unref() {
    this.#link.setRef(false);
    return this;
  }

  // ---- the end ----

  close(options = {}) {
    validate.object(options, 'options');
    const { timeout } = options;
    if (timeout !== undefined) validate.number(timeout, 'options.timeout', 0, LONGEST_TIMER);
    return this.#link.close(timeout);
  }

  // Ends at once; what was not written is given up.
  destroy(error) {
    this.#link.finish(error ?? null);
    this.#link.takeEarly(); // nobody wants them
    return this;
  }

  [Symbol.asyncDispose]() {
    return this.close();
  }
}

const create = (endpoint, settings, server) => new Connection(TOKEN, endpoint, settings, server);

module.exports = { Connection, create, linkOf };
