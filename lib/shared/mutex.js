'use strict';
// `rsipc.Mutex`: a lock with one owner at a time.

const { callable } = require('../validate.js');
const waits = require('./waits.js');
const { MAKE, Shared, inner, attempt, failed, madeBy } = require('./object.js');
const { Grip, Held, sleeper, using } = require('./held.js');

class Mutex extends Shared {
  #inner;
  #native;
  #sleeper;
  #grip;

  constructor(key, native, name) {
    super(key, native, 'mutex', name);
    this.#inner = inner(this);
    this.#native = native;
    this.#sleeper = sleeper(this, this.#inner);
    this.#grip = new Grip(this.#inner, this.#sleeper, () => attempt(this.#inner, () => native.unlock()));
  }

  static {
    madeBy(this, 'mutex', 'SharedMutex', () => [], true);
  }

  get locked() {
    return attempt(this.#inner, () => this.#native.locked);
  }

  tryLock() {
    return this.#held(attempt(this.#inner, () => this.#native.tryLock()));
  }

  lock(options) {
    try {
      const settings = waits.checked(options);
      // Who came before goes before.
      if (settings.signal?.aborted !== true && !this.#sleeper.busy) {
        const held = this.tryLock();
        if (held !== undefined) return Promise.resolve(held);
      }
      const look = () => this.#held(attempt(this.#inner, () => this.#native.poll()));
      return waits.wait(this.#sleeper, look, false, settings, () => this.#waiting());
    } catch (error) {
      return Promise.reject(error);
    }
  }

  lockSync(options) {
    const settings = options === undefined ? undefined : waits.checkedSync(options);
    if (settings === undefined) {
      // Nearly always it is free, and this is all.
      const held = this.#block(waits.SPIN, waits.SLICE);
      if (held !== undefined) return held;
    }
    return waits.waitSync(null, (spin, milliseconds) => this.#block(spin, milliseconds), settings ?? waits.checkedSync(), () => this.#waiting());
  }

  async with(use, options) {
    callable(use, 'use');
    return using(this.lock(options), use);
  }

  #block(spin, milliseconds) {
    try {
      return this.#held(this.#native.lockSync(spin, milliseconds));
    } catch (error) {
      throw failed(this.#inner.what(), error);
    }
  }

  // The native part answers with one number: the fence, negative if the owner before died, 0 if it is not taken.
  #held(fence) {
    return fence === 0 ? undefined : new Held(MAKE, this.#grip, Math.abs(fence), fence < 0, 1);
  }

  #waiting() {
    return `Waiting for ${this.#inner.what()}`;
  }
}

module.exports = { Mutex };
