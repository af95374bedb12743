'use strict';
// `BroadcastChannel`: the web's, between processes. All of a process share one bus, on which a channel is a topic.

const { randomBytes } = require('node:crypto');
const { withCode, rsipc } = require('../errors.js');
const { makeBus } = require('./bus.js');

const ENDPOINT = 'rsipc:broadcast-channel';
const MOST_WAITING = 65_536; // messages

let shared = null; // { bus, channels } while there are channels

function open(channel) {
  if (shared === null) {
    const bus = makeBus(ENDPOINT, {});
    bus.setMaxListeners(0);
    shared = { bus, channels: new Set() };
    // There may be no place to bind yet; it is tried again until there is.
    bus.join(false);
  }
  shared.channels.add(channel);
  return shared.bus;
}

function leave(channel) {
  const { bus, channels } = shared;
  channels.delete(channel);
  if (channels.size > 0) return;
  shared = null;
  bus.close();
}

function count() {
  if (shared === null) return;
  const { bus, channels } = shared;
  if ([...channels].some((channel) => refs.get(channel))) bus.ref();
  else bus.unref();
}

const refs = new WeakMap();

let warned = false;

// Nobody waits for a message that was posted, so that it is lost has to be told otherwise.
function refused(error) {
  if (error.code !== 'ERR_RSIPC_OUTBOX_FULL' || warned) return;
  warned = true;
  process.emitWarning(rsipc.broadcastWarning, { type: 'RsipcWarning', code: 'RSIPC_BROADCAST' });
}

// Any name there is, as one level of a topic.
const topicOf = (name) => `c-${Buffer.from(name, 'utf16le').toString('base64url')}`;

class BroadcastChannel extends EventTarget {
  #bus;
  #name;
  #topic;
  #id = randomBytes(9).toString('base64url');
  #subscribed;
  #handlers = { message: null, messageerror: null };

  constructor(name) {
    if (arguments.length === 0) throw withCode(TypeError, 'ERR_MISSING_ARGS', 'The "name" argument must be specified');
    super();
    this.#name = `${name}`;
    this.#topic = topicOf(this.#name);
    this.#bus = open(this);
    refs.set(this, true);
    count();
    this.#bus.on('messageError', this.#unreadable);
    this.#subscribed = this.#bus.subscribe(this.#topic, (message) => this.#receive(message), { max: MOST_WAITING });
  }

  #unreadable = (error, topic) => {
    if (topic === this.#topic) this.dispatchEvent(new MessageEvent('messageerror', { data: null }));
  };

  get name() {
    return this.#name;
  }

  #receive(message) {
    if (this.#bus === null || !Array.isArray(message) || message.length !== 2) return;
    const [id, data] = message;
    if (id === this.#id) return; // its own
    const event = new MessageEvent('message', { data });
    if (data === undefined) Object.defineProperty(event, 'data', { value: undefined }); // it would be null
    this.dispatchEvent(event);
  }

  postMessage(message) {
    if (arguments.length === 0) throw withCode(TypeError, 'ERR_MISSING_ARGS', 'The "message" argument must be specified');
    if (this.#bus === null) throw new DOMException('BroadcastChannel is closed.', 'InvalidStateError');
    try {
      this.#bus.publish(this.#topic, [this.#id, message]).catch(refused);
    } catch (error) {
      throw error.code === undefined ? new DOMException(error.message, 'DataCloneError') : error;
    }
  }

  close() {
    if (this.#bus === null) return;
    this.#bus.off('messageError', this.#unreadable);
    this.#bus = null;
    this.#subscribed.then((subscription) => subscription.unsubscribe(), () => {});
    leave(this);
    count();
  }

  ref() {
    if (this.#bus !== null) refs.set(this, true);
    count();
    return this;
  }

  unref() {
    if (this.#bus !== null) refs.set(this, false);
    count();
    return this;
  }

  #handler(type) {
    return this.#handlers[type]?.callback ?? null;
  }

  // As the attributes of the web: one listener each, whose place is that of its first setting.
  #setHandler(type, callback) {
    const valid = typeof callback === 'function' ? callback : null;
    const old = this.#handlers[type];
    if (valid === null) {
      if (old !== null) this.removeEventListener(type, old.listener);
      this.#handlers[type] = null;
    } else if (old === null) {
      const entry = { callback: valid, listener: (event) => entry.callback.call(this, event) };
      this.#handlers[type] = entry;
      this.addEventListener(type, entry.listener);
    } else {
      old.callback = valid;
    }
  }

  get onmessage() {
    return this.#handler('message');
  }

  set onmessage(callback) {
    this.#setHandler('message', callback);
  }

  get onmessageerror() {
    return this.#handler('messageerror');
  }

  set onmessageerror(callback) {
    this.#setHandler('messageerror', callback);
  }
}

module.exports = { BroadcastChannel };
