'use strict';
// `rsipc.Cell`: the latest value of something.

const validate = require('../validate.js');
const waits = require('./waits.js');
const { Shared, inner, attempt, failed, madeBy } = require('./object.js');
const { bytesOf } = require('./bytes.js');

const MAX_CAPACITY = 2 ** 30;

function capacityOf(options) {
  validate.integer(options.capacity, 'options.capacity', 1, MAX_CAPACITY);
  return options.capacity;
}

class Cell extends Shared {
  #capacity;

  constructor(key, native, name) {
    super(key, native, 'cell', name);
    this.#capacity = native.capacity;
  }

  static {
    madeBy(this, 'cell', 'SharedCell', (options) => [capacityOf(options)]);
  }

  get capacity() {
    return this.#capacity;
  }

  set(data) {
    const mine = inner(this);
    attempt(mine, () => mine.native.set(typeof data === 'string' ? Buffer.from(data) : bytesOf(data)));
  }

  get() {
    const mine = inner(this);
    return attempt(mine, () => mine.native.get()) ?? undefined;
  }

  get version() {
    const mine = inner(this);
    return attempt(mine, () => mine.native.version);
  }

  next(options) {
    try {
      const mine = inner(this);
      const { native } = mine;
      const settings = waits.checked(options);
      const after = options?.after ?? this.version;
      validate.integer(after, 'options.after', 0);
      const look = (spin) => {
        try {
          return native.newer(after, spin) ?? undefined;
        } catch (error) {
          throw failed(mine.what(), error);
        }
      };
      const first = settings.signal?.aborted !== true;
      if (first) {
        waits.listen();
        const found = look(settings.spin);
        if (found !== undefined) return Promise.resolve(found);
      }
      // Each wait has a version of its own, so none waits behind another.
      return waits.wait(new waits.Sleeper(this, mine, native), () => look(0), first, settings, () => `Waiting for a value of ${mine.what()}`);
    } catch (error) {
      return Promise.reject(error);
    }
  }
}

module.exports = { Cell };
