'use strict';
// Requests of one connection, both ways: what this end has asked, and what it is asked.

const { rsipc, abortError } = require('../errors.js');
const { pack, unpack } = require('../fork/peer.js');
const { LONGEST_TIMER } = require('./settings.js');
const { CONNECTING, OPEN, CLOSED } = require('./state.js');
const jsonRpc = require('./json-rpc.js');

const LAST_ID = 0xffff_ffff;

// What a handler is told besides the body. Few look at `signal`, so it is made when somebody does.
class Asked {
  #controller = null;

  constructor(link, id, name, again) {
    this.connection = link.user;
    this.name = name;
    this.id = link.remote?.session === undefined ? String(id) : `${link.remote.session}:${id}`;
    this.resent = again;
    this.over = false;
  }

  get signal() {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.over) this.#controller.abort();
    }
    return this.#controller.signal;
  }

  abort() {
    this.over = true;
    this.#controller?.abort();
  }
}

class Requests {
  #link;
  #pending = new Map(); // what we asked, by number
  #running = new Map(); // what the peer asked
  #next = 0;
  #quiet = 0; // of those that we asked, how many no user did

  constructor(link) {
    this.#link = link;
  }

  get busy() {
    return this.#running.size > 0;
  }

  // ---- asking ----

  ask(name, body, { timeout = Infinity, signal }) {
    const link = this.#link;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(abortError(signal));
      if (link.state > OPEN || link.leaving) return reject(rsipc.connectionClosed(link.who()));
      const limit = link.settings.maxRequests;
      if (this.#pending.size - this.#quiet >= limit) return reject(rsipc.tooManyRequests(limit));
      do this.#next = this.#next === LAST_ID ? 1 : this.#next + 1;
      while (this.#pending.has(this.#next));
      const id = this.#next;
      const entry = { resolve, reject, name, body, sent: false, timer: undefined, signal, onAbort: undefined };
      const cancel = (error) => {
        if (!this.#settle(id)) return;
        reject(error);
        if (entry.sent && link.state === OPEN) this.#cancel(id);
      };
      if (timeout <= LONGEST_TIMER) entry.timer = setTimeout(() => cancel(rsipc.timeout(`The request '${name}'`, timeout)), timeout);
      if (signal !== undefined) {
        entry.onAbort = () => cancel(abortError(signal));
        signal.addEventListener('abort', entry.onAbort, { once: true });
      }
      this.#pending.set(id, entry);
      if (link.state === CONNECTING) return; // sent when there is a connection
      try {
        this.#send(id, entry);
      } catch (error) {
        this.#settle(id);
        reject(error);
      }
    });
  }

  // A number for something else that the peer answers. `settled` is called when it has, or never will.
  expect(what, settled) {
    do this.#next = this.#next === LAST_ID ? 1 : this.#next + 1;
    while (this.#pending.has(this.#next));
    const id = this.#next;
    const promise = new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve: () => resolve(), reject, name: what, sent: true, once: true, settled });
    });
    return { id, promise };
  }

  // The same for something of our own.
  expectQuietly() {
    const expected = this.expect('An offer of memory');
    this.#pending.get(expected.id).quiet = true;
    this.#quiet++;
    return expected;
  }

  #send(id, entry) {
    const link = this.#link;
    const again = entry.sent;
    entry.sent = true;
    const taken = link.settings.jsonRpc
      ? jsonRpc.request(link, id, entry.name, entry.body)
      : link.codec.request(link, id, entry.name, entry.body, again);
    // A connection that is full refuses.
    taken.catch((error) => this.#settle(id) && entry.reject(error));
    if (link.onEnd === null) entry.body = undefined; // never sent again
  }

  #cancel(id) {
    if (this.#link.settings.jsonRpc) jsonRpc.cancel(this.#link, id);
    else this.#link.codec.cancel(this.#link, id);
  }

  // There is a connection again.
  resend() {
    for (const [id, entry] of this.#pending) {
      if (entry.once) continue;
      try {
        this.#send(id, entry);
      } catch (error) {
        if (this.#settle(id)) entry.reject(error);
      }
    }
  }

  #settle(id) {
    const entry = this.#pending.get(id);
    if (entry === undefined) return undefined;
    this.#pending.delete(id);
    if (entry.quiet) this.#quiet--;
    if (entry.timer !== undefined) clearTimeout(entry.timer);
    if (entry.onAbort) entry.signal.removeEventListener('abort', entry.onAbort);
    entry.settled?.();
    return entry;
  }

  replied(id, body) {
    this.#settle(id)?.resolve(body);
  }

  failed(id, packed) {
    this.#settle(id)?.reject(unpack(packed, this.#link.who()));
  }

  rejected(id, error) {
    this.#settle(id)?.reject(error);
  }

  // ---- answering ----

  asked(id, name, body, again = false) {
    const link = this.#link;
    if (this.#running.has(id)) return;
    const handler = link.user.handlerOf(name);
    if (handler === undefined) {
      this.#fail(id, rsipc.noNamedHandler(link.server === null ? 'the client' : 'the server', name));
      return;
    }
    if (this.#running.size >= link.settings.maxRequests) {
      this.#fail(id, rsipc.tooManyRequests(link.settings.maxRequests));
      return;
    }
    const asked = new Asked(link, id, name, again);
    let value;
    let later;
    try {
      value = handler(body, asked);
      later = value !== null && typeof value === 'object' && typeof value.then === 'function';
    } catch (error) {
      this.#fail(id, error);
      return;
    }
    if (later) {
      this.#running.set(id, asked);
      Promise.resolve(value).then((result) => this.#done(id, asked, result), (error) => this.#done(id, asked, undefined, error, true));
    } else {
      this.#reply(id, value);
    }
  }

  #done(id, asked, value, error, failed = false) {
    if (this.#running.get(id) !== asked) return;
    this.#running.delete(id);
    const link = this.#link;
    if (!asked.over && link.state !== CLOSED && link.native !== null) {
      if (failed) this.#fail(id, error);
      else this.#reply(id, value);
    }
    if (this.#running.size === 0) link.drained();
  }

  // The next connection has not asked what the last one has.
  get #isLost() {
    return this.#link.native === null;
  }

  #reply(id, value) {
    if (this.#isLost) return;
    const link = this.#link;
    try {
      if (link.settings.jsonRpc) jsonRpc.reply(link, id, value);
      else link.codec.reply(link, id, value);
    } catch (error) {
      this.#fail(id, error); // it has no form that this codec can write
    }
  }

  #fail(id, error) {
    if (this.#isLost) return;
    const link = this.#link;
    if (link.settings.jsonRpc) {
      jsonRpc.failure(link, id, error);
      return;
    }
    let packed;
    try {
      packed = pack(error);
      JSON.stringify(packed);
    } catch {
      packed = { thrown: null }; // a cycle, a BigInt, a getter that throws
    }
    link.codec.failure(link, id, packed);
  }

  cancelled(id) {
    // It runs until its handler has ended: a peer that asks and cancels must not start any number of them.
    this.#running.get(id)?.abort();
  }

  receiveJsonRpc(value, size) {
    jsonRpc.receive(this.#link, this, value, size);
  }

  // ---- the end ----

  // The connection is lost, and another one is tried.
  interrupted() {
    for (const asked of this.#running.values()) asked.abort();
    this.#running.clear();
    for (const [id, entry] of this.#pending) {
      if (entry.once) this.#settle(id).reject(rsipc.peerGone(this.#link.who(), entry.name));
    }
  }

  ended(error) {
    this.interrupted();
    for (const id of [...this.#pending.keys()]) this.#settle(id).reject(error);
  }
}

module.exports = { Requests };
