'use strict';
// `rsipc.Event`: something that has happened, or not yet.

const validate = require('../validate.js');
const waits = require('./waits.js');
const { Shared, inner, attempt, failed, madeBy } = require('./object.js');
const { sleeper } = require('./held.js');

const PASSED = true; // what an attempt answers when it has passed

function autoResetOf({ autoReset = false }) {
  validate.boolean(autoReset, 'options.autoReset');
  return autoReset;
}

class Event extends Shared {
  #inner;
  #native;
  #autoReset;
  #sleeper;
  #passed = 0; // how often waits of this attachment have passed together

  constructor(key, native, name) {
    super(key, native, 'event', name);
    this.#inner = inner(this);
    this.#native = native;
    this.#autoReset = native.autoReset;
    this.#sleeper = sleeper(this, this.#inner);
  }

  static {
    madeBy(this, 'event', 'SharedEvent', (options) => [autoResetOf(options)], true);
  }

  get autoReset() {
    return this.#autoReset;
  }

  get isSet() {
    return attempt(this.#inner, () => this.#native.isSet);
  }

  set() {
    attempt(this.#inner, () => this.#native.set());
    // Nobody rings the own bell sooner than this.
    if (this.#sleeper.busy) waits.look(this.#sleeper);
  }

  reset() {
    attempt(this.#inner, () => this.#native.reset());
  }

  wait(options) {
    try {
      const settings = waits.checked(options);
      // What happened before is for those who waited before.
      if (this.#sleeper.busy) waits.look(this.#sleeper);
      if (settings.signal?.aborted !== true && !this.#sleeper.busy) {
        if (attempt(this.#inner, () => this.#native.tryWait())) return Promise.resolve();
      }
      return waits.wait(this.#sleeper, this.#look(), false, settings, () => this.#waiting()).then(nothing);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  waitSync(options) {
    const settings = waits.checkedSync(options);
    const begun = attempt(this.#inner, () => this.#native.settings);
    // The native part waits in slices. Where one setting lets all pass, one between two of them counts as well.
    const missed = () => !this.#autoReset && this.#native.settings !== begun;
    const block = (spin, milliseconds) => {
      try {
        return missed() || this.#native.waitSync(spin, milliseconds) || missed() ? PASSED : undefined;
      } catch (error) {
        throw failed(this.#inner.what(), error);
      }
    };
    try {
      waits.waitSync(null, block, settings, () => this.#waiting());
      if (!this.#autoReset) this.#passed++;
    } finally {
      if (this.#sleeper.busy) waits.look(this.#sleeper);
    }
  }

  // The native part waits once for all. Where one setting lets all pass, those pass who waited when the first one did,
  // though the event may be reset by the time they look.
  #look() {
    const begun = this.#passed;
    return () => {
      if (this.#passed !== begun) return PASSED;
      if (!attempt(this.#inner, () => this.#native.poll())) return undefined;
      if (!this.#autoReset) this.#passed++;
      return PASSED;
    };
  }

  #waiting() {
    return `Waiting for ${this.#inner.what()}`;
  }
}

const nothing = () => {};

module.exports = { Event };
