'use strict';
// `rsipc.SharedMap`: keys and values that several processes share. Both are copied.

const validate = require('../validate.js');
const { Shared, inner, attempt, failed, madeBy } = require('./object.js');
const { CHUNK, Pool, bytesOf } = require('./bytes.js');

const MIN_CAPACITY = 65_536;
const MAX_CAPACITY = 2 ** 36;
const MAX_ENTRIES = 2 ** 30;
const LARGE = CHUNK / 4;
const FOR_EVER = -1;
const ANY = -1; // version

const pool = new Pool();

function shape({ capacity, entries }) {
  validate.integer(capacity, 'options.capacity', MIN_CAPACITY, MAX_CAPACITY);
  if (entries !== undefined) validate.integer(entries, 'options.entries', 1, MAX_ENTRIES);
  return [capacity, entries ?? Math.ceil(capacity / 256)];
}

function raw(data, name) {
  return typeof data === 'string' ? Buffer.from(data) : bytesOf(data, name);
}

function ttlOf(options) {
  if (options === undefined) return FOR_EVER;
  validate.object(options, 'options');
  const { ttl } = options;
  if (ttl === undefined) return FOR_EVER;
  validate.number(ttl, 'options.ttl');
  return ttl === Infinity ? FOR_EVER : ttl;
}

class SharedMap extends Shared {
  #inner;
  #native;

  constructor(key, native, name) {
    super(key, native, 'map', name);
    this.#inner = inner(this);
    this.#native = native;
  }

  static {
    madeBy(this, 'map', 'SharedMap', shape);
  }

  get(key) {
    const found = typeof key === 'string' ? key : bytesOf(key, 'key');
    try {
      for (let own = null; ; ) {
        const target = own ?? pool.chunk;
        const at = own === null ? pool.used : 0;
        const size = typeof found === 'string' ? this.#native.getText(found, target, at) : this.#native.get(found, target, at);
        if (size === -1) return undefined;
        if (size >= 0) {
          if (own !== null) return own.subarray(0, size);
          pool.used = Math.min((at + size + 7) & -8, target.length);
          return target.subarray(at, at + size);
        }
        const needed = -2 - size;
        // It may have grown by the time it is copied.
        if (needed > LARGE) own = Buffer.allocUnsafeSlow(needed);
        else pool.renew(needed);
      }
    } catch (error) {
      throw failed(this.#inner.what(), error);
    }
  }

  getEntry(key) {
    const value = this.get(key);
    return value === undefined ? undefined : { value, version: this.#native.version };
  }

  has(key) {
    return this.get(key) !== undefined;
  }

  set(key, value, options) {
    this.#set(key, value, ttlOf(options), ANY);
    return this;
  }

  compareAndSet(key, version, value, options) {
    validate.integer(version, 'version', 0);
    return this.#set(key, value, ttlOf(options), version);
  }

  delete(key) {
    const bytes = raw(key, 'key');
    return attempt(this.#inner, () => this.#native.delete(bytes));
  }

  add(key, delta = 1n, options = undefined) {
    if (typeof delta !== 'bigint') validate.integer(delta, 'delta', Number.MIN_SAFE_INTEGER);
    const bytes = raw(key, 'key');
    const ttl = ttlOf(options);
    return attempt(this.#inner, () => this.#native.add(bytes, BigInt(delta), ttl));
  }

  count(key) {
    const bytes = raw(key, 'key');
    return attempt(this.#inner, () => this.#native.count(bytes));
  }

  clear() {
    attempt(this.#inner, () => this.#native.clear());
  }

  purge() {
    return attempt(this.#inner, () => this.#native.purge());
  }

  get length() {
    return attempt(this.#inner, () => this.#native.length);
  }

  * entries() {
    for (let step = 0; step !== null; ) {
      const found = attempt(this.#inner, () => this.#native.scan(step));
      step = this.#native.next;
      for (let index = 0; index < found.length; index += 2) yield [found[index], found[index + 1]];
    }
  }

  [Symbol.iterator]() {
    return this.entries();
  }

  #set(key, value, ttl, version) {
    const [bytes, content] = [raw(key, 'key'), raw(value, 'value')];
    return attempt(this.#inner, () => this.#native.set(bytes, content, ttl, version));
  }
}

module.exports = { SharedMap };
