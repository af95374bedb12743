'use strict';
// `rsipc.Barrier`: a meeting point. Each attachment is one party.

const validate = require('../validate.js');
const { rsipc } = require('../errors.js');
const waits = require('./waits.js');
const { Shared, inner, attempt, failed, madeBy } = require('./object.js');
const { sleeper } = require('./held.js');

const MAX_PARTIES = 128;

function partiesOf(options) {
  validate.integer(options.parties, 'options.parties', 2, MAX_PARTIES);
  return options.parties;
}

class Barrier extends Shared {
  #inner;
  #native;
  #parties;
  #sleeper;

  constructor(key, native, name) {
    super(key, native, 'barrier', name);
    this.#inner = inner(this);
    this.#native = native;
    this.#parties = native.parties;
    // Who gives up may have been passed meanwhile.
    this.#sleeper = sleeper(this, this.#inner, () => native.cancel() ?? undefined);
  }

  static {
    madeBy(this, 'barrier', 'SharedBarrier', (options) => [partiesOf(options)]);
  }

  get parties() {
    return this.#parties;
  }

  get broken() {
    return attempt(this.#inner, () => this.#native.broken);
  }

  wait(options) {
    try {
      const settings = waits.checked(options);
      const look = () => attempt(this.#inner, () => this.#native.poll()) ?? undefined;
      return waits.wait(this.#sleeper, look, false, settings, () => this.#waiting());
    } catch (error) {
      return Promise.reject(error);
    }
  }

  waitSync(options) {
    const settings = waits.checkedSync(options);
    // It is the same party, and cannot come twice.
    if (this.#sleeper.busy) throw rsipc.comesOnce(this.#inner.what());
    const block = (spin, milliseconds) => {
      try {
        return this.#native.waitSync(spin, milliseconds) ?? undefined;
      } catch (error) {
        throw failed(this.#inner.what(), error);
      }
    };
    return waits.waitSync(null, block, settings, () => this.#waiting());
  }

  reset() {
    attempt(this.#inner, () => this.#native.reset());
  }

  #waiting() {
    return `Waiting at ${this.#inner.what()}`;
  }
}

module.exports = { Barrier };
