'use strict';
// The end of a ring that reads.

const validate = require('../validate.js');
const waits = require('./waits.js');
const { onlyWith, failed } = require('./object.js');
const { CHUNK, Pool } = require('./bytes.js');
const { callable } = validate;

const BATCH = 1_024;
const MOST = 2 ** 20;
const LARGE = CHUNK / 4;
const NONE = -1; // what `take` answers when there is no record; below that, one that needs more room

const pool = new Pool();
let sizes = null; // of the records of a batch; one thread uses it, and never in two calls at once
let raw = null; // the same bytes

function sizesFor(max) {
  if (sizes === null || sizes.length < max) {
    sizes = new Uint32Array(Math.max(max, BATCH));
    raw = Buffer.from(sizes.buffer);
  }
}

class RingConsumer {
  #ring;
  #native;
  #sleeper;
  #forget;
  #attempt = () => this.#one(0, true);
  #waiting = () => `Waiting for a record of ${this.#ring.what()}`;
  #lent = null;
  #dropped = 0;
  #closed = false;

  constructor(key, ring, native, forget) {
    onlyWith(key);
    this.#ring = ring;
    this.#native = native;
    this.#forget = forget;
    this.#sleeper = new waits.Sleeper(this, ring, native);
  }

  tryRead() {
    return this.#one(0, false);
  }

  readBatch(max = BATCH) {
    if (max !== BATCH) validate.integer(max, 'max', 1, MOST);
    const views = [];
    try {
      sizesFor(max);
      const native = this.#native;
      while (views.length < max) {
        const count = native.read(pool.chunk, pool.used, raw, max - views.length);
        if (count === 0) break;
        if (count < 0) {
          pool.renew(-count);
          continue;
        }
        const { chunk } = pool;
        let { used } = pool;
        for (let index = 0; index < count; index++) {
          const end = used + sizes[index];
          views.push(chunk.subarray(used, end));
          used = (end + 7) & -8;
        }
        pool.used = Math.min(used, chunk.length);
      }
    } catch (error) {
      // What is read is read; the error comes again.
      if (views.length === 0) throw failed(this.#ring.what(), error);
    }
    return views;
  }

  read(options) {
    try {
      const settings = waits.checked(options);
      const first = settings.signal?.aborted !== true && !this.#sleeper.busy;
      if (first) {
        waits.listen();
        const record = this.#one(settings.spin, true);
        if (record !== undefined) return Promise.resolve(record);
      }
      return waits.wait(this.#sleeper, this.#attempt, first, settings, this.#waiting);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  readSync(options) {
    const settings = waits.checkedSync(options);
    const attempt = (spin, milliseconds) => {
      const record = this.#one(0, false);
      if (record !== undefined) return record;
      try {
        this.#native.waitSync(spin, milliseconds);
      } catch (error) {
        throw failed(this.#ring.what(), error);
      }
      return this.#one(0, false);
    };
    return waits.waitSync(this.#sleeper, attempt, settings, this.#waiting);
  }

  consume(use, max = BATCH) {
    callable(use, 'use');
    if (max !== BATCH) validate.integer(max, 'max', 1, MOST);
    let count = 0;
    while (count < max && !(this.#closed && count > 0)) {
      let lent;
      try {
        lent = this.#native.lend();
      } catch (error) {
        if (count > 0) break;
        throw failed(this.#ring.what(), error);
      }
      if (lent === null) break;
      count++;
      if (Buffer.isBuffer(lent)) {
        use(lent);
        continue;
      }
      this.#lent = lent;
      try {
        use(Buffer.from(lent));
      } finally {
        this.#giveBack();
      }
    }
    return count;
  }

  #giveBack() {
    const lent = this.#lent;
    if (lent === null) return;
    this.#lent = null;
    this.#native.giveBack(lent);
  }

  get dropped() {
    return this.#closed ? this.#dropped : this.#native.lost;
  }

  close() {
    if (this.#closed) return;
    this.#giveBack();
    this.#dropped = this.#native.lost;
    this.#closed = true;
    waits.end(this, () => this.#ring.isClosed());
    this.#native.close();
    this.#forget();
  }

  // Ends when this end is closed.
  async *[Symbol.asyncIterator]() {
    while (!this.#closed) {
      let record;
      try {
        record = this.#one(0, false) ?? await this.read();
      } catch (error) {
        if (this.#closed) return;
        throw error;
      }
      yield record;
    }
  }

  [Symbol.dispose ?? Symbol.for('nodejs.dispose')]() {
    this.close();
  }

  // The next record, looked for during `spin` microseconds. With `arm` the bell rings for the next one if there is none.
  #one(spin, arm) {
    try {
      let size = this.#native.take(pool.chunk, pool.used, spin, arm);
      if (size === NONE) return undefined;
      if (size < NONE) {
        const needed = NONE - 1 - size;
        if (needed > LARGE) {
          const own = Buffer.allocUnsafeSlow(needed);
          size = this.#native.take(own, 0, 0, false);
          return size < 0 ? undefined : own;
        }
        pool.renew(needed);
        size = this.#native.take(pool.chunk, 0, 0, false);
        if (size < 0) return undefined;
      }
      const { chunk, used } = pool;
      const end = used + size;
      pool.used = Math.min((end + 7) & -8, chunk.length);
      return chunk.subarray(used, end);
    } catch (error) {
      throw failed(this.#ring.what(), error);
    }
  }
}

module.exports = { RingConsumer };
