'use strict';
// The end of a ring that writes.

const { node, rsipc } = require('../errors.js');
const validate = require('../validate.js');
const waits = require('./waits.js');
const { onlyWith, failed } = require('./object.js');
const { CHUNK, bytesOf, copyOf } = require('./bytes.js');

const EMPTY = Buffer.alloc(0);
const LARGE = CHUNK / 4;
const BATCH = 1_024;
const DONE = true; // what an attempt to write answers when it has

// Records of a batch stand here before they cross together. One thread uses it, and never in two calls at once.
let staging = null;

class RingProducer {
  #ring;
  #native;
  #sleeper;
  #forget;
  #slot = null;
  #closed = false;

  constructor(key, ring, native, forget) {
    onlyWith(key);
    this.#ring = ring;
    this.#native = native;
    this.#forget = forget;
    this.#sleeper = new waits.Sleeper(this, ring, native);
  }

  tryWrite(data) {
    this.#check();
    // What was written before goes before.
    if (this.#sleeper.busy) return false;
    return this.#put(typeof data === 'string' ? data : bytesOf(data), 0, false);
  }

  tryWriteBatch(records) {
    if (!Array.isArray(records)) throw node.invalidType('records', 'an instance of Array', records);
    this.#check();
    if (this.#sleeper.busy) return 0;
    try {
      return this.#stageAll(records);
    } catch (error) {
      throw failed(this.#ring.what(), error);
    } finally {
      if (!this.#closed) this.#native.publish();
    }
  }

  #stageAll(records) {
    const native = this.#native;
    staging ??= { bytes: Buffer.allocUnsafeSlow(CHUNK), sizes: new Uint32Array(BATCH), raw: null };
    const { bytes, sizes } = staging;
    staging.raw ??= Buffer.from(sizes.buffer);
    let staged = 0;
    let gathered = 0;
    let at = 0;
    const flush = () => {
      if (gathered === 0) return true;
      const wanted = gathered;
      gathered = 0;
      at = 0;
      const count = native.stage(bytes, staging.raw, wanted);
      staged += count;
      return count === wanted;
    };
    for (let index = 0; index < records.length; index++) {
      const record = records[index];
      let room;
      let data;
      if (typeof record === 'string') {
        room = record.length * 3;
      } else {
        data = bytesOf(record, `records[${index}]`);
        room = data.byteLength;
      }
      if (room > LARGE) {
        if (!flush()) return staged;
        data ??= Buffer.from(record);
        sizes[0] = data.byteLength;
        try {
          if (native.stage(data, staging.raw, 1) === 0) return staged;
        } catch (error) {
          // Of a record that never fits those before it are not to blame.
          if (staged > 0) return staged;
          throw error;
        }
        staged++;
        continue;
      }
      if ((at + room > CHUNK || gathered === BATCH) && !flush()) return staged;
      if (data === undefined) {
        sizes[gathered] = bytes.utf8Write(record, at, room);
      } else {
        if (data instanceof Uint8Array) bytes.set(data, at);
        else bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
        sizes[gathered] = room;
      }
      at += sizes[gathered++];
    }
    flush();
    return staged;
  }

  write(data, options) {
    try {
      const settings = waits.checked(options);
      this.#check();
      if (settings.signal?.aborted !== true && !this.#sleeper.busy) {
        if (this.#put(typeof data === 'string' ? data : bytesOf(data), settings.spin, false)) return Promise.resolve();
      }
      const bytes = copyOf(data);
      const attempt = () => (this.#put(bytes, 0, true) ? DONE : undefined);
      return waits.wait(this.#sleeper, attempt, false, settings, () => `Waiting for room in ${this.#ring.what()}`).then(nothing);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  writeSync(data, options) {
    const settings = waits.checkedSync(options);
    this.#check();
    const bytes = typeof data === 'string' ? Buffer.from(data) : bytesOf(data);
    const attempt = (spin, milliseconds) => {
      try {
        return this.#native.writeSync(bytes, spin, milliseconds) ? DONE : undefined;
      } catch (error) {
        throw failed(this.#ring.what(), error);
      }
    };
    waits.waitSync(this.#sleeper, attempt, settings, () => `Waiting for room in ${this.#ring.what()}`);
  }

  reserve(bytes) {
    validate.integer(bytes, 'bytes', 0, 2 ** 32 - 1);
    this.#check();
    if (this.#sleeper.busy) return undefined;
    let found;
    try {
      found = this.#native.reserve(bytes);
    } catch (error) {
      throw failed(this.#ring.what(), error);
    }
    if (found === false) return undefined;
    this.#slot = new RingSlot(this.#native, found, bytes, this.#ring, () => {
      this.#slot = null;
    });
    return this.#slot;
  }

  close() {
    if (this.#closed) return;
    this.#slot?.abandon();
    this.#closed = true;
    waits.end(this, () => this.#ring.isClosed());
    this.#native.close();
    this.#forget();
  }

  [Symbol.dispose ?? Symbol.for('nodejs.dispose')]() {
    this.close();
  }

  #check() {
    if (this.#slot !== null) throw rsipc.slotOpen(this.#ring.what());
  }

  #put(data, spin, arm) {
    try {
      return typeof data === 'string' ? this.#native.writeText(data, spin) : this.#native.write(data, spin, arm);
    } catch (error) {
      throw failed(this.#ring.what(), error);
    }
  }
}

const nothing = () => {};

// A record that is being filled. In place it is an ArrayBuffer over the ring; where that cannot be, as in a ring of
// many producers, memory of its own that is copied.
class RingSlot {
  #native;
  #lent;
  #view;
  #ring;
  #done;

  constructor(native, found, bytes, ring, done) {
    this.#native = native;
    this.#ring = ring;
    this.#done = done;
    this.#lent = found === true ? null : found;
    this.#view = found === true ? Buffer.alloc(bytes) : Buffer.from(found);
  }

  get view() {
    return this.#view;
  }

  commit(bytes = this.#view.length) {
    if (this.#done === null) return;
    validate.integer(bytes, 'bytes', 0, this.#view.length);
    let written;
    try {
      written = this.#lent === null ? this.#native.write(this.#view.subarray(0, bytes), 0, false) : this.#native.commit(this.#lent, bytes);
    } catch (error) {
      throw failed(this.#ring.what(), error);
    }
    if (!written) throw rsipc.roomGone(this.#ring.what());
    this.#end();
  }

  abandon() {
    if (this.#done === null) return;
    if (this.#lent !== null) this.#native.abandon(this.#lent);
    this.#end();
  }

  #end() {
    const done = this.#done;
    this.#done = null;
    this.#lent = null;
    this.#view = EMPTY;
    done();
  }
}

module.exports = { RingProducer };
