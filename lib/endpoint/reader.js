'use strict';
// `for await (const message of connection)`: messages at the reader's pace. While many wait here the connection is
// not read.

const { CLOSED } = require('./state.js');

const LIMIT = 1_024; // messages
const LIMIT_BYTES = 1024 * 1024;

class Reader {
  #link;
  #waiting = [];
  #bytes = 0; // of those, and of those that were taken since there were none
  #asking = []; // who waits for a message
  #over = false;
  #error = null;

  constructor(link) {
    this.#link = link;
    if (link.state === CLOSED) {
      this.#over = true;
      this.#error = link.failure;
      this.#waiting = link.takeEarly();
      return;
    }
    link.readers ??= new Set();
    link.readers.add(this);
    link.listens();
  }

  push(message, size) {
    if (this.#asking.length > 0) {
      this.#asking.shift().resolve({ value: message, done: false });
      return;
    }
    this.#waiting.push(message);
    this.#bytes += size;
    if (this.#waiting.length >= LIMIT || this.#bytes >= LIMIT_BYTES) this.#link.pause(this, true);
  }

  end(error) {
    this.#over = true;
    this.#error = error;
    for (const { resolve, reject } of this.#asking.splice(0)) this.#conclude(resolve, reject);
  }

  // The error is the first one's who asks.
  #conclude(resolve, reject) {
    const error = this.#error;
    this.#error = null;
    if (error === null) resolve({ value: undefined, done: true });
    else reject(error);
  }

  next() {
    if (this.#waiting.length > 0) {
      const value = this.#waiting.shift();
      if (this.#waiting.length === 0) {
        this.#bytes = 0;
        this.#link.pause(this, false);
      }
      return Promise.resolve({ value, done: false });
    }
    return new Promise((resolve, reject) => {
      if (this.#over) this.#conclude(resolve, reject);
      else this.#asking.push({ resolve, reject });
    });
  }

  // What was read and not taken is the next listener's.
  return() {
    const link = this.#link;
    link.readers?.delete(this);
    if (link.readers?.size === 0) link.readers = null;
    for (const message of this.#waiting) {
      if (link.readers === null && link.user.listenerCount('message') === 0) link.keep([message], 0);
    }
    this.#waiting = [];
    this.end(null);
    link.pause(this, false);
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator]() {
    return this;
  }
}

module.exports = { Reader };
