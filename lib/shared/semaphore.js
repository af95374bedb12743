'use strict';
// `rsipc.Semaphore`: so many permits.

const validate = require('../validate.js');
const waits = require('./waits.js');
const { MAKE, Shared, inner, attempt, failed, madeBy } = require('./object.js');
const { Grip, Held, sleeper } = require('./held.js');

const MAX_PERMITS = 2 ** 31 - 1;

function permitsOf(options) {
  validate.integer(options.permits, 'options.permits', 1, MAX_PERMITS);
  return options.permits;
}

class Semaphore extends Shared {
  #inner;
  #native;
  #permits;
  #sleeper;
  #grip;

  constructor(key, native, name) {
    super(key, native, 'semaphore', name);
    this.#inner = inner(this);
    this.#native = native;
    this.#permits = native.permits;
    this.#sleeper = sleeper(this, this.#inner);
    this.#grip = new Grip(this.#inner, this.#sleeper, (count) => attempt(this.#inner, () => native.release(count)));
  }

  static {
    madeBy(this, 'semaphore', 'SharedSemaphore', (options) => [permitsOf(options)]);
  }

  get permits() {
    return this.#permits;
  }

  get available() {
    return attempt(this.#inner, () => this.#native.available);
  }

  tryAcquire(count = 1) {
    this.#check(count, 'count');
    // Who came before goes before.
    if (this.#sleeper.busy) return undefined;
    return this.#held(attempt(this.#inner, () => this.#native.tryAcquire(count)), count);
  }

  acquire(options) {
    try {
      const settings = waits.checked(options);
      const count = this.#count(options);
      if (settings.signal?.aborted !== true) {
        const held = this.tryAcquire(count);
        if (held !== undefined) return Promise.resolve(held);
      }
      const look = () => this.#held(attempt(this.#inner, () => this.#native.poll(count)), count);
      return waits.wait(this.#sleeper, look, false, settings, () => this.#waiting(count));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  acquireSync(options) {
    const settings = waits.checkedSync(options);
    const count = this.#count(options);
    // The native part waits for one thing at a time. What waits in the loop begins anew when the thread is back there.
    if (this.#sleeper.busy) attempt(this.#inner, () => this.#native.cancel());
    const block = (spin, milliseconds) => {
      try {
        return this.#held(this.#native.acquireSync(count, spin, milliseconds), count);
      } catch (error) {
        throw failed(this.#inner.what(), error);
      }
    };
    return waits.waitSync(null, block, settings, () => this.#waiting(count));
  }

  #count(options) {
    const count = options?.count ?? 1;
    this.#check(count, 'options.count');
    return count;
  }

  #check(count, name) {
    validate.integer(count, name, 1, this.#permits);
  }

  #held(taken, count) {
    return taken ? new Held(MAKE, this.#grip, 0, false, count) : undefined;
  }

  #waiting(count) {
    return `Waiting for ${count === 1 ? 'a permit' : `${count} permits`} of ${this.#inner.what()}`;
  }
}

module.exports = { Semaphore };
