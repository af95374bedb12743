'use strict';
// What two rsipc ends can do beyond Node: requests, receipts, any descriptor.
//
// All of it travels as messages with `cmd: 'NODE_RSIPC'`, which a plain Node peer ignores, and starts
// with a hello that only an rsipc peer answers. Until somebody needs it nothing is sent.

const { inspect } = require('node:util');
const { node, rsipc, abortError, withCode } = require('../errors.js');
const validate = require('../validate.js');
const { release } = require('./handles.js');
const lanes = require('./lanes.js');
const { LONGEST_TIMER } = require('./settings.js');
const upgrade = require('./upgrade.js');

const VERSION = 1;
const HELLO_TIMEOUT = 5_000;
const HELLO_AGAIN = 100; // ms: what arrives before the other end has loaded rsipc is dropped there
const RECEIPT_TIMEOUT = 30_000;
const MAX_PENDING = 65_536;
const MAX_UNHEARD = 1_024; // messages with a receipt that wait for a listener

const stay = () => {};

// What of an error crosses: enough to rebuild it, and nothing that is not plain data.
function pack(error) {
  if (!(error instanceof Error)) return { thrown: error === undefined ? null : error };
  const { name, message, stack, code } = error;
  return { name: String(name), message: String(message), stack: String(stack), code: typeof code === 'string' || typeof code === 'number' ? code : undefined };
}

const CONSTRUCTORS = new Map([Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError].map((Type) => [Type.name, Type]));

// A peer may send anything in a field: turning it into text must not run into what it sent.
function text(value) {
  return typeof value === 'string' ? value : inspect(value, { depth: 0, customInspect: false });
}

function shown(value) {
  try {
    return JSON.stringify(value);
  } catch {
    return text(value); // a cycle, a BigInt
  }
}

function unpack(packed, who) {
  if (packed === null || typeof packed !== 'object') return withCode(Error, 'ERR_RSIPC_REMOTE', `${who} answered with an error that cannot be read`);
  if ('thrown' in packed) return withCode(Error, 'ERR_RSIPC_REMOTE', `${who} threw a value that is not an Error: ${shown(packed.thrown)}`);
  const error = new (CONSTRUCTORS.get(packed.name) ?? Error)(text(packed.message));
  const define = (key, value) => Object.defineProperty(error, key, { value, configurable: true, writable: true, enumerable: false });
  if (typeof packed.name === 'string' && packed.name !== error.name) define('name', packed.name);
  if (typeof packed.stack === 'string') define('stack', `${packed.stack}\n    at ${who}`);
  if (typeof packed.code === 'string' || typeof packed.code === 'number') error.code = packed.code;
  return error;
}

class Peer {
  #link;
  #pending = new Map(); // what we asked, by number
  #running = new Map(); // what the peer asked, by number
  #handler = null;
  #next = 0;
  #hello = null;
  #greeted = false; // the other end's greeting is answered
  #gone = false;
  #unheard = 0;
  #replies = []; // numbers of replies that may not be written yet
  #deaf = false; // the peer asks and does not take the replies

  constructor(link) {
    this.#link = link;
    this.known = false; // the other end is rsipc, with all that is in this file
    this.heard = false; // its hello has come
    this.lanes = false; // and has said that it can share memory
    this.slabs = false; // for large Buffers as well
    this.plain = false; // and that memory is all it knows of: a Rust program
  }

  #sayHello(more) {
    const link = this.#link;
    link.sendControl({ act: 'hello', version: VERSION, lanes: lanes.allowed(link) ? 1 : 0, slabs: 1, ...more });
  }

  // Tells the other end that this one is rsipc, and asks it whether it is; waits for nothing.
  greet() {
    if (!this.heard && this.#hello === null) this.#sayHello();
  }

  // Resolves when the other end has shown that it is rsipc. Without `stay` the process may end meanwhile. `plain`: one
  // that only knows of memory will do. However long `timeout` is, it waits no longer than `patience`.
  async handshake(what, { timeout = Infinity, patience = HELLO_TIMEOUT, signal, stay = true, plain = false } = {}) {
    if (this.known || (plain && this.plain)) return;
    const link = this.#link;
    const refuse = () => rsipc.plainPeer(link.who(), what, 0);
    if (this.plain) throw refuse();
    if (this.#gone || !link.target.connected) throw rsipc.peerGone(link.who(), what);
    if (this.#hello === null) {
      this.#hello = Promise.withResolvers ? Promise.withResolvers() : resolvers();
      this.#hello.promise.catch(() => {});
      this.#sayHello();
    }
    const hello = this.#hello;
    const wait = Math.min(timeout, patience);
    await new Promise((resolve, reject) => {
      const onAbort = () => finish(() => reject(abortError(signal)));
      const timer = setTimeout(() => finish(() => reject(rsipc.plainPeer(link.who(), what, wait))), wait);
      if (!stay) timer.unref();
      const again = setInterval(() => this.#sayHello(), HELLO_AGAIN).unref();
      const finish = (settle) => {
        clearTimeout(timer);
        clearInterval(again);
        signal?.removeEventListener('abort', onAbort);
        settle();
      };
      if (signal?.aborted) return onAbort();
      signal?.addEventListener('abort', onAbort, { once: true });
      const heard = () => (this.known || plain ? resolve() : reject(refuse()));
      hello.promise.then(() => finish(heard), () => finish(() => reject(rsipc.peerGone(link.who(), what))));
    });
  }

  // ---- asking ----

  // Sends `body` and resolves with what the other end's handler returns.
  async request(body, options = {}) {
    validate.object(options, 'options');
    const { timeout = Infinity, signal } = options;
    validate.number(timeout, 'options.timeout');
    validate.signal(signal, 'options.signal');
    const started = Date.now();
    // Without a wait when the peer is known: what is sent next must not overtake.
    if (!this.known) await this.handshake('A request', { timeout: Math.max(timeout, 1), signal });
    return this.#ask('The request', { act: 'request', body }, undefined, timeout - (Date.now() - started), timeout, signal);
  }

  // Sends a user message and resolves when the other end's listener has taken it.
  async sendWithReceipt(message, handle, { timeout = RECEIPT_TIMEOUT, signal, keepOpen }) {
    validate.number(timeout, 'options.timeout', 0, LONGEST_TIMER);
    validate.signal(signal, 'options.signal');
    if (message === undefined) throw node.missingMessage();
    if (!this.known) await this.handshake('A receipt', { timeout, signal });
    return this.#ask('The message', { act: 'message', body: message, within: timeout }, handle, timeout + 1_000, timeout, signal, { swallowErrors: true, keepOpen });
  }

  #ask(what, message, handle, wait, timeout, signal, options) {
    const link = this.#link;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(abortError(signal));
      if (this.#gone || !link.target.connected) return reject(rsipc.peerGone(link.who(), what));
      if (this.#pending.size >= MAX_PENDING) return reject(rsipc.tooManyRequests(MAX_PENDING));
      const id = ++this.#next;
      const cancel = (error) => {
        settle(() => reject(error));
        link.sendControl({ act: 'cancel', id });
      };
      const onAbort = () => cancel(abortError(signal));
      const timer = wait > LONGEST_TIMER ? undefined : setTimeout(() => cancel(rsipc.timeout(what, timeout)), Math.max(wait, 0));
      const settle = (then) => {
        if (!this.#pending.delete(id)) return;
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        then();
      };
      this.#pending.set(id, {
        resolve: (value) => settle(() => resolve(value)),
        reject: (error) => settle(() => reject(error)),
        gone: () => settle(() => reject(rsipc.peerGone(link.who(), what))),
      });
      signal?.addEventListener('abort', onAbort, { once: true });
      try {
        link.send({ cmd: 'NODE_RSIPC', ...message, id }, handle, options ?? { swallowErrors: true });
      } catch (error) {
        settle(() => reject(error));
      }
    });
  }

  // ---- answering ----

  // `handler(body, { signal })` answers requests; null stops answering. Where a 'message' listener of `target` keeps the
  // process alive, answering does as well.
  onRequest(handler, target) {
    if (handler !== null) validate.callable(handler, 'handler');
    this.#handler = handler;
    if (target === undefined) return;
    const staying = target.listeners('disconnect').includes(stay);
    if (handler !== null && !staying) target.on('disconnect', stay);
    else if (handler === null && staying) target.removeListener('disconnect', stay);
  }

  // An rsipc peer never has more than MAX_PENDING questions open. One that asks on without taking the
  // replies is not listened to until it does, or its replies would fill the memory.
  #reply(message) {
    const link = this.#link;
    link.sendReply(message);
    if (!link.open) return;
    this.#replies.push(link.native.number);
    if (this.#replies.length > MAX_PENDING) this.repliesWritten();
  }

  // Called when the kernel has taken more, and when there are many replies.
  repliesWritten() {
    const link = this.#link;
    if (!link.open || (!this.#deaf && this.#replies.length <= MAX_PENDING)) return;
    const { written } = link.native;
    const first = this.#replies.findIndex((number) => number > written);
    this.#replies.splice(0, first === -1 ? this.#replies.length : first);
    const deaf = this.#replies.length > (this.#deaf ? MAX_PENDING / 2 : MAX_PENDING);
    if (deaf === this.#deaf) return;
    this.#deaf = deaf;
    link.ignore(deaf);
  }

  async #answer(id, body) {
    if (this.#handler === null) {
      this.#reply({ act: 'reply', id, missing: true });
      return;
    }
    if (this.#running.size >= MAX_PENDING) {
      this.#reply({ act: 'reply', id, error: pack(rsipc.tooManyRequests(MAX_PENDING)) });
      return;
    }
    const controller = new AbortController();
    this.#running.set(id, controller);
    let reply;
    try {
      const value = await this.#handler(body, { signal: controller.signal });
      reply = { act: 'reply', id, body: value };
    } catch (error) {
      reply = { act: 'reply', id, error: pack(error) };
    }
    this.#running.delete(id);
    if (controller.signal.aborted || this.#gone) return;
    try {
      this.#reply(reply);
    } catch (error) {
      this.#reply({ act: 'reply', id, error: pack(error) });
    }
  }

  // A message whose sender waits until a listener has taken it. It has its place among the plain ones.
  #take(message, handle, size, problem) {
    const { id, body, within } = message;
    const { inbox } = this.#link;
    if (problem !== undefined) {
      this.#reply({ act: 'receipt', id, refused: problem });
      return;
    }
    let timer;
    const receipt = {
      over: false,
      taken: () => this.#settle(receipt, timer, { act: 'receipt', id }),
    };
    this.#unheard++;
    inbox.emit(body, handle, size, receipt);
    if (receipt.over) return;
    const giveUp = () => {
      inbox.forget(receipt);
      release(handle);
      this.#settle(receipt, timer, { act: 'receipt', id, unheard: true });
    };
    if (this.#unheard > MAX_UNHEARD) giveUp();
    else timer = setTimeout(giveUp, Math.min(typeof within === 'number' ? within : 0, RECEIPT_TIMEOUT)).unref();
  }

  #settle(receipt, timer, answer) {
    receipt.over = true;
    clearTimeout(timer);
    this.#unheard--;
    this.#reply(answer);
  }

  // A message with `cmd: 'NODE_RSIPC'`. Whatever it holds, the worst is that it is ignored.
  receive(message, handle, size, problem) {
    const link = this.#link;
    const { act, id } = message;
    if (act !== 'lanes' && act !== 'slab' && (act !== 'message' || !Number.isSafeInteger(id))) release(handle);
    switch (act) {
      case 'hello':
        if (!this.heard) {
          this.heard = true;
          this.plain = message.plain === 1;
          this.known = !this.plain;
          this.lanes = message.lanes === 1;
          this.slabs = message.slabs === 1;
          this.#hello?.resolve();
        }
        if (message.reply !== true && !this.#greeted) {
          this.#greeted = true; // once: a peer that greets all the time and never reads must not fill the queue
          this.#sayHello({ reply: true });
        }
        if (link.watched) upgrade.consider(link);
        break;
      case 'lanes':
        lanes.receive(link, message, handle);
        break;
      case 'slab':
        if (link.slabs !== null) link.slabs.receive(message.number, handle);
        else release(handle);
        break;
      case 'slab-taken':
        link.slabs?.taken(message.number);
        break;
      case 'request':
        if (Number.isSafeInteger(id) && !this.#running.has(id)) this.#answer(id, message.body);
        break;
      case 'cancel':
        // Counted until its handler has ended: a peer that asks and cancels must not start any number of them.
        this.#running.get(id)?.abort();
        break;
      case 'reply': {
        const asked = this.#pending.get(id);
        if (asked === undefined) break;
        if (message.missing === true) asked.reject(rsipc.noHandler(link.who()));
        else if (message.error !== undefined) asked.reject(unpack(message.error, link.who()));
        else asked.resolve(message.body);
        break;
      }
      case 'message':
        if (Number.isSafeInteger(id)) this.#take(message, handle, size, problem);
        break;
      case 'receipt': {
        const asked = this.#pending.get(id);
        if (asked === undefined) break;
        if (message.refused !== undefined) asked.reject(rsipc.handleRejected(link.who(), text(message.refused)));
        else if (message.unheard === true) asked.reject(rsipc.noListener(link.who()));
        else asked.resolve();
        break;
      }
    }
  }

  // The channel is over: everything that waits for the peer is settled.
  ended() {
    if (this.#gone) return;
    this.#gone = true;
    if (this.#hello !== null && !this.heard) this.#hello.reject(new Error('gone'));
    for (const asked of [...this.#pending.values()]) asked.gone();
    for (const controller of this.#running.values()) controller.abort();
    this.#running.clear();
  }
}

// Promise.withResolvers, which Node 20 does not have.
function resolvers() {
  const all = {};
  all.promise = new Promise((resolve, reject) => {
    all.resolve = resolve;
    all.reject = reject;
  });
  return all;
}

module.exports = { Peer, pack, unpack };
