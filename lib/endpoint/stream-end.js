'use strict';
// An end whose bytes go through streams of Node's. Looks like a native one with a descriptor.

const native = require('../binding.js');
const { WROTE } = require('./kinds.js');

const SILENCE = 1_000; // ms after which nothing more is expected of who does not read any more
const FAREWELL = 1_000; // ms for what was written to go out

class StreamEnd {
  #core;
  #readable;
  #writable;
  #found = null;
  #ended = false;
  #silence = null; // the timer until an end that cannot be written to is over
  #closed = false;
  #error = 0;
  #wrote = () => {
    if (!this.#closed && this.#found !== null) this.#found(WROTE);
  };

  constructor(readable, writable, options) {
    this.#core = new native.FedConnection(options);
    this.#readable = readable;
    this.#writable = writable;
    this.greets = this.#core.greets;
    this.connecting = false;
    this.passesHandles = false;
    this.peer = null;
  }

  open(found) {
    this.#found = found;
    const readable = this.#readable;
    readable.on('data', (chunk) => {
      this.#silence?.refresh();
      this.#feed(() => this.#core.feed(typeof chunk === 'string' ? Buffer.from(chunk) : chunk));
    });
    const end = () => {
      if (this.#ended) return;
      this.#ended = true;
      clearTimeout(this.#silence);
      this.#feed(() => this.#core.feedEnd());
    };
    for (const event of ['end', 'close', 'error']) readable.on(event, end);
    if (this.#writable !== readable) {
      // A child that has ended closes its stdin before all that it has written is read.
      const silent = () => {
        if (this.#ended || this.#closed) return;
        if (readable.isPaused()) this.#silence.refresh();
        else end();
      };
      const gone = () => {
        if (!this.#closed && !this.#ended) this.#silence ??= setTimeout(silent, SILENCE);
      };
      this.#writable.on('error', gone);
      this.#writable.on('close', gone);
    }
  }

  #feed(work) {
    if (this.#closed) return;
    const found = work();
    // An answer to a ping waits, perhaps.
    if (this.#core.queued > 0) this.#pump(0);
    if (found !== 0) this.#found(found);
  }

  // Hands what the core has to the stream; answers how many bytes wait.
  #pump(answer) {
    if (answer < 0) return answer;
    if (this.#closed || this.#writable.destroyed || this.#writable.writableEnded) return -32;
    const bytes = this.#core.takeOutbox();
    if (bytes.length > 0) this.#writable.write(bytes, this.#wrote);
    return this.queued;
  }

  get queued() {
    return this.#core.queued + this.#writable.writableLength;
  }

  get error() {
    return this.#error;
  }

  turn() {
    return 0;
  }

  hello(said) {
    return this.#pump(this.#core.hello(said));
  }

  send(kind, text, units, flush) {
    const answer = this.#core.send(kind, text, units);
    return flush ? this.#pump(answer) : answer;
  }

  sendBytes(kind, head, payload, flush) {
    const answer = this.#core.sendBytes(kind, head, payload);
    return flush ? this.#pump(answer) : answer;
  }

  sendPacked(kind, packed, length, flush) {
    const answer = this.#core.sendPacked(kind, packed, length);
    return flush ? this.#pump(answer) : answer;
  }

  flush() {
    return this.#pump(0);
  }

  takeText() {
    return this.#core.takeText();
  }

  takeBytes() {
    return this.#core.takeBytes();
  }

  takeEvents() {
    return this.#core.takeEvents();
  }

  partialAge() {
    return this.#core.partialAge();
  }

  heard() {
    return this.#core.heard();
  }

  pause(on) {
    if (on) this.#readable.pause();
    else this.#readable.resume();
  }

  setRef(on) {
    for (const stream of [this.#readable, this.#writable]) {
      const socket = typeof stream.ref === 'function' ? stream : stream._handle;
      if (on) socket?.ref?.();
      else socket?.unref?.();
    }
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#silence);
    this.#core.close();
    const [readable, writable] = [this.#readable, this.#writable];
    const ignore = () => {};
    readable.on('error', ignore);
    writable.on('error', ignore);
    // What was written goes out first; a stream that nobody reads is not waited for.
    writable.end(() => writable !== readable || readable.destroy());
    if (writable.writableLength > 0) {
      setTimeout(() => {
        writable.destroy();
        readable.destroy();
      }, FAREWELL).unref();
    }
    readable.resume();
    if (readable.readableEnded || writable !== readable) readable.destroy();
  }
}

module.exports = { StreamEnd };
