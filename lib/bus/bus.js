'use strict';
// `openBus`: a member of a bus. It is connected to the broker, which is in whichever member's process has bound the
// endpoint first; when that dies, all that are left try to, and go on with the winner.

const EventEmitter = require('node:events');
const { randomBytes } = require('node:crypto');
const { setTimeout: delay } = require('node:timers/promises');
const native = require('../binding.js');
const { node, rsipc } = require('../errors.js');
const validate = require('../validate.js');
const { serializeWhole, deserialize } = require('../fork/serialization.js');
const { serve, connect } = require('../endpoint/index.js');
const { rejected } = require('../endpoint/rejected.js');
const { Broker } = require('./broker.js');
const { Retained } = require('./retained.js');
const { Subscription } = require('./subscription.js');
const topics = require('./topic.js');
const { MOST_SUBSCRIPTIONS, forBus, forSubscription } = require('./settings.js');
const { VERSION, KINDS, encode, decode } = require('./wire.js');

const MAX_MESSAGE = 64 * 1024 * 1024;
const OVERHEAD = 8 * 1024; // more than a head takes
const MOST_PENDING = 65_536; // publications without an acknowledgement, and their bytes
const MOST_PENDING_BYTES = 64 * 1024 * 1024;
const WELCOME_TIMEOUT = 5_000;
const LONGEST_PAUSE = 250; // ms between two attempts
const FIRST_ATTEMPTS = 100; // of `openBus`, while brokers come and go
// The broker has gone between our finding it and our being greeted.
const PASSING = new Set(['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ERR_RSIPC_PEER_GONE', 'ERR_RSIPC_CLOSED', 'ERR_RSIPC_TIMEOUT']);

const nothing = () => {};

class Bus extends EventEmitter {
  #settings;
  #id = randomBytes(12).toString('hex');
  #server = null; // if the broker is here
  #broker = null;
  #joining = null;
  #connection = null; // once the broker has welcomed it
  #closing = null;
  #ended = false;
  #referenced = true;

  #ref = 0;
  #subscriptions = new Map(); // by number; { subscription, asked, known, resolve, reject }
  #seq = 0;
  #pending = new Map(); // by number; { frame, retained, resolve, reject }
  #pendingBytes = 0;
  #settled = null; // for `close`, which waits for those
  #retained;

  constructor(endpoint, settings) {
    super();
    this.endpoint = endpoint;
    this.#settings = settings;
    this.#retained = new Retained(settings.maxRetained);
  }

  // ---- its place on the bus ----

  // Binds the endpoint or connects to who has, until one of them succeeds.
  join(first) {
    this.#joining = this.#join(first);
    return this.#joining;
  }

  async #join(first) {
    for (let attempt = 1; !this.#ended; attempt++) {
      try {
        await this.#lead();
        await this.#follow();
        return;
      } catch (error) {
        if (first && (!PASSING.has(error.code) || attempt === FIRST_ATTEMPTS)) {
          await this.#leave();
          throw error;
        }
        if (attempt === 1 && !PASSING.has(error.code)) process.emitWarning(rsipc.joinWarning(this.endpoint, error.message), { type: 'RsipcWarning', code: 'RSIPC_BUS' });
      }
      await delay(Math.random() * Math.min(2 ** attempt, LONGEST_PAUSE), undefined, { ref: this.#referenced });
    }
  }

  async #lead() {
    if (this.#server !== null) return;
    const { server: options, closeTimeout } = this.#settings;
    let server;
    try {
      server = await serve(this.endpoint, { ...options, codec: 'raw', closeTimeout });
    } catch (error) {
      if (error.code === 'EADDRINUSE') return;
      throw error;
    }
    // The process is kept by its member, not by what it does for the others.
    this.#server = server.unref();
    this.#broker = new Broker(server, this.#settings);
    server.on('clientError', nothing); // whoever that was is gone
    if (this.#ended) await this.#leave();
  }

  async #follow() {
    if (this.#ended) return;
    const { client: options, closeTimeout } = this.#settings;
    const connection = await connect(this.endpoint, { ...options, codec: 'raw', closeTimeout, timeout: WELCOME_TIMEOUT });
    if (!this.#referenced) connection.unref();
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => connection.destroy(rsipc.waitTimeout(`The welcome of the bus at ${this.endpoint}`, WELCOME_TIMEOUT)), WELCOME_TIMEOUT);
      let welcomed = false;
      connection.on('close', (error) => {
        clearTimeout(timer);
        reject(error ?? rsipc.peerGone(`the broker of ${this.endpoint}`, 'Joining the bus'));
        if (welcomed) this.#lost(error);
      });
      connection.on('message', (bytes) => {
        const frame = decode(bytes);
        if (frame === undefined || (!welcomed && (frame.kind !== KINDS.WELCOME || frame.head.version !== VERSION))) {
          connection.destroy(rsipc.protocol('ERR_RSIPC_NOT_RSIPC', `What serves ${this.endpoint} is no bus of this version`));
        } else if (welcomed) {
          this.#receive(frame);
        } else {
          welcomed = true;
          clearTimeout(timer);
          this.#welcomed(connection);
          resolve();
        }
      });
      connection.send(encode(KINDS.HELLO, { version: VERSION, id: this.#id })).catch(nothing);
    });
  }

  // Says again what a new broker does not know.
  #welcomed(connection) {
    if (this.#ended) {
      connection.destroy();
      return;
    }
    this.#connection = connection;
    if (!this.#referenced) connection.unref();
    for (const { body, ...head } of this.#retained) this.#say(encode(KINDS.KEEP, head, body));
    for (const entry of this.#subscriptions.values()) this.#say(encode(KINDS.SUBSCRIBE, { ...entry.asked, again: entry.known }));
    for (const { frame } of this.#pending.values()) this.#say(frame);
  }

  #say(frame) {
    this.#connection?.send(frame).catch(nothing);
  }

  #lost(error) {
    this.#connection = null;
    if (this.#ended) return;
    // Before listeners are told, which may throw.
    this.join(false).then(() => !this.#ended && this.emit('reconnect'));
    this.emit('disconnect', error ?? null);
  }

  async #leave() {
    const server = this.#server;
    this.#server = null;
    this.#broker?.close();
    await server?.close();
  }

  // Whether the broker is this one.
  get isBroker() {
    return this.#server !== null;
  }

  get connected() {
    return this.#connection !== null;
  }

  // ---- receiving ----

  #receive({ kind, head, body, ref, dropped }) {
    switch (kind) {
      case KINDS.TAKEN:
        this.#taken(head);
        break;
      case KINDS.SUBSCRIBED: {
        const entry = this.#subscriptions.get(head.ref);
        if (entry === undefined) break;
        entry.known = true;
        entry.resolve(entry.subscription);
        break;
      }
      case KINDS.MESSAGE:
        this.#told(head, body, ref, dropped);
        break;
      case KINDS.ENDED:
        this.#tooSlow(head);
        break;
    }
  }

  #told(head, body, ref, dropped) {
    const entry = this.#subscriptions.get(ref);
    if (entry === undefined) return;
    const { subscription } = entry;
    if (dropped > 0) {
      subscription.dropped += dropped;
      this.emit('drop', subscription, dropped);
    }
    if (head.keep !== undefined) this.#retained.put({ topic: head.topic, stamp: head.stamp, from: head.from, seq: head.seq, keep: head.keep, body });
    if (!subscription.active || !subscription.isNews(head)) return;
    let message;
    try {
      message = deserialize(body);
    } catch (error) {
      this.emit('messageError', error, head.topic, subscription);
      return;
    }
    subscription.tell(message, head.topic);
  }

  #tooSlow({ ref, dropped }) {
    const entry = this.#subscriptions.get(ref);
    if (entry === undefined) return;
    const { subscription } = entry;
    this.#subscriptions.delete(ref);
    subscription.active = false;
    subscription.dropped += dropped;
    const error = rsipc.slowSubscriber(subscription.pattern);
    if (!this.emit('slow', error, subscription)) process.emitWarning(error.message, { type: 'RsipcWarning', code: 'RSIPC_SLOW_SUBSCRIBER' });
  }

  #taken({ seq, stamps }) {
    for (const told of Array.isArray(stamps) ? stamps : []) {
      const [number, stamp] = Array.isArray(told) ? told : [];
      const { retained } = this.#pending.get(number) ?? {};
      if (retained !== undefined && Number.isSafeInteger(stamp)) this.#retained.put({ ...retained, stamp });
    }
    for (const [number, { frame, resolve }] of this.#pending) {
      if (number > seq) break;
      this.#pending.delete(number);
      this.#pendingBytes -= frame.length;
      resolve();
    }
    if (this.#pending.size === 0) this.#settled?.();
  }

  // ---- what the user does ----

  // Resolves when the broker has it.
  publish(topic, message, options = {}) {
    topics.check(topic, 'topic', false);
    validate.object(options, 'options');
    const { retain = false } = options;
    validate.boolean(retain, 'options.retain');
    const body = serializeWhole(message);
    if (body.length > MAX_MESSAGE - OVERHEAD) throw rsipc.publicationTooLarge(body.length, MAX_MESSAGE - OVERHEAD);
    if (this.#closing !== null) return rejected(rsipc.busClosed(this.endpoint));
    if (this.#pending.size >= MOST_PENDING || (this.#pendingBytes + body.length > MOST_PENDING_BYTES && this.#pending.size > 0)) {
      return Promise.reject(rsipc.outboxFull(`the broker of ${this.endpoint}`, this.#pendingBytes));
    }
    const seq = ++this.#seq;
    const keep = retain ? (message === undefined ? 2 : 1) : undefined;
    const frame = encode(KINDS.PUBLISH, { topic, seq, keep }, body);
    const retained = retain ? { topic, from: this.#id, seq, keep, body } : undefined;
    const taken = new Promise((resolve, reject) => this.#pending.set(seq, { frame, retained, resolve, reject }));
    this.#pendingBytes += frame.length;
    taken.catch(nothing); // it need not be awaited
    this.#say(frame);
    return taken;
  }

  // Resolves when whatever is published from now on arrives.
  subscribe(pattern, listener, options = {}) {
    topics.check(pattern, 'pattern', true);
    validate.callable(listener, 'listener');
    const settings = forSubscription(options);
    if (this.#closing !== null) return rejected(rsipc.busClosed(this.endpoint));
    if (this.#subscriptions.size >= MOST_SUBSCRIPTIONS) throw node.outOfRange('subscriptions of one bus', `<= ${MOST_SUBSCRIPTIONS}`, this.#subscriptions.size + 1);
    const ref = ++this.#ref;
    const entry = { subscription: new Subscription(this, pattern, listener), asked: { ref, pattern, ...settings }, known: false };
    const subscribed = new Promise((resolve, reject) => {
      entry.resolve = resolve;
      entry.reject = reject;
    });
    subscribed.catch(nothing);
    this.#subscriptions.set(ref, entry);
    this.#say(encode(KINDS.SUBSCRIBE, entry.asked));
    return subscribed;
  }

  // By pattern, with or without the listener, or the subscription itself. Answers how many there were.
  unsubscribe(pattern, listener) {
    if (!(pattern instanceof Subscription)) topics.check(pattern, 'pattern', true);
    if (listener !== undefined) validate.callable(listener, 'listener');
    let count = 0;
    for (const [ref, entry] of this.#subscriptions) {
      const { subscription } = entry;
      if (subscription !== pattern && !subscription.isOf(pattern, listener)) continue;
      count++;
      subscription.active = false;
      this.#subscriptions.delete(ref);
      entry.resolve(subscription);
      this.#say(encode(KINDS.UNSUBSCRIBE, { ref }));
    }
    return count;
  }

  ref() {
    this.#referenced = true;
    this.#connection?.ref();
    return this;
  }

  unref() {
    this.#referenced = false;
    this.#connection?.unref();
    return this;
  }

  // ---- the end ----

  // Waits until the broker has what was published.
  close() {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close() {
    const { closeTimeout } = this.#settings;
    for (const { subscription } of this.#subscriptions.values()) subscription.active = false;
    if (this.#pending.size > 0) {
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, closeTimeout);
        this.#settled = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#ended = true;
    await this.#joining.catch(nothing);
    await this.#connection?.close().catch(nothing); // what the broker was not given is told to its publisher below
    await this.#leave();
    const error = rsipc.busClosed(this.endpoint);
    for (const { reject } of this.#pending.values()) reject(error);
    for (const { reject } of this.#subscriptions.values()) reject(error);
    this.#pending.clear();
    this.#subscriptions.clear();
    this.emit('close');
  }

  [Symbol.asyncDispose]() {
    return this.close();
  }
}

// Not async: what is wrong with the arguments is a rejection all the same.
function openBus(endpoint, options = {}) {
  return new Promise((resolve, reject) => {
    const bus = makeBus(endpoint, options);
    bus.join(true).then(() => resolve(bus), reject);
  });
}

function makeBus(endpoint, options) {
  const settings = forBus(endpoint, options);
  if (native.Listener === undefined) throw rsipc.notAvailable('openBus()');
  return new Bus(endpoint, settings);
}

module.exports = { openBus, makeBus };
