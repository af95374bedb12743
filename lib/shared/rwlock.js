'use strict';
// `rsipc.RwLock`: a lock with one writer or many readers.

const waits = require('./waits.js');
const { MAKE, Shared, inner, attempt, failed, madeBy } = require('./object.js');
const { Grip, Held, sleeper } = require('./held.js');

class RwLock extends Shared {
  #inner;
  #native;
  #sleeper;
  #reading;
  #writing;

  constructor(key, native, name) {
    super(key, native, 'rwlock', name);
    const mine = inner(this);
    this.#inner = mine;
    this.#native = native;
    this.#sleeper = sleeper(this, mine);
    this.#reading = new Grip(mine, this.#sleeper, () => attempt(mine, () => native.unlockRead()));
    this.#writing = new Grip(mine, this.#sleeper, () => attempt(mine, () => native.unlockWrite()));
  }

  static {
    madeBy(this, 'rwlock', 'SharedRwLock', () => [], true);
  }

  tryRead() {
    // A writer that waits goes before new readers.
    if (this.#sleeper.busy) return undefined;
    return this.#read(attempt(this.#inner, () => this.#native.tryRead()));
  }

  tryWrite() {
    if (this.#sleeper.busy) return undefined;
    return this.#write(attempt(this.#inner, () => this.#native.tryWrite()));
  }

  read(options) {
    return this.#wait(options, () => this.tryRead(), () => this.#read(attempt(this.#inner, () => this.#native.pollRead())), 'read');
  }

  write(options) {
    return this.#wait(options, () => this.tryWrite(), () => this.#write(attempt(this.#inner, () => this.#native.pollWrite())), 'write');
  }

  readSync(options) {
    return this.#waitSync(options, (spin, milliseconds) => this.#read(this.#native.readSync(spin, milliseconds)), 'read');
  }

  writeSync(options) {
    return this.#waitSync(options, (spin, milliseconds) => this.#write(this.#native.writeSync(spin, milliseconds)), 'write');
  }

  // All waits of this attachment are in one row: a reader behind a writer waits for it.
  #wait(options, once, look, verb) {
    try {
      const settings = waits.checked(options);
      if (settings.signal?.aborted !== true) {
        const held = once();
        if (held !== undefined) return Promise.resolve(held);
      }
      return waits.wait(this.#sleeper, look, false, settings, () => this.#waiting(verb));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #waitSync(options, call, verb) {
    const settings = waits.checkedSync(options);
    // The native part waits for one thing at a time. What waits in the loop begins anew when the thread is back there.
    if (this.#sleeper.busy) attempt(this.#inner, () => this.#native.cancel());
    const block = (spin, milliseconds) => {
      try {
        return call(spin, milliseconds);
      } catch (error) {
        throw failed(this.#inner.what(), error);
      }
    };
    return waits.waitSync(null, block, settings, () => this.#waiting(verb));
  }

  #read(answer) {
    return answer === 0 ? undefined : new Held(MAKE, this.#reading, 0, answer < 0, 1);
  }

  // The native part answers with one number: the fence, negative if the writer before died, 0 if it is not taken.
  #write(fence) {
    return fence === 0 ? undefined : new Held(MAKE, this.#writing, Math.abs(fence), fence < 0, 1);
  }

  #waiting(verb) {
    return `Waiting to ${verb} under ${this.#inner.what()}`;
  }
}

module.exports = { RwLock };
