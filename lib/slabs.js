'use strict';
// The large Buffers of a channel or connection whose ends share memory. Their bytes go neither through V8's serializer nor
// through a socket: they lie beside the message, in memory of which the sender lends a block to each, and the message
// says where.
//
// What a sender makes it offers once, by its descriptor, and uses when the other end has said that it has it. Until
// then, and whenever there is no room, Buffers travel within the message as they always have.

const native = require('./binding.js');

// A smaller one is copied sooner than a place for it is found.
const LEAST = 16 * 1024;
// Node's numbers for the kinds of view, in their order.
const TYPES = [
  Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array, Float64Array,
  DataView, Buffer, BigInt64Array, BigUint64Array,
];
const BUFFER = TYPES.indexOf(Buffer);
const KINDS = new Map(TYPES.map((Type, kind) => [`[object ${Type.name}]`, kind]));

// The two memories of a direction, by number.
const OWN = 0;
const MADE = 1;

const PLACE = 20; // bytes of what says where a Buffer lies

const TELL = 1024 * 1024; // bytes fetched after which a sender that waits is told

// V8 looks for garbage among young ArrayBuffers when it makes one. Of ours it hears only when they are made, so after
// so many bytes it is given one to make.
const LOOK = 1024 * 1024;
let since = 0;

// Memory of copies that V8 has done with is kept for the next ones, as long as there are any.
const IDLE = 1_000; // ms
let used = false;
let watching = false;

function watchIdle() {
  watching = true;
  setTimeout(() => {
    watching = false;
    if (used) watchIdle();
    else native.clearShelf();
    used = false;
  }, IDLE).unref();
}

function lookForGarbage(bytes) {
  used = true;
  if (!watching) watchIdle();
  since += bytes;
  if (since < LOOK) return;
  since = 0;
  new ArrayBuffer(8);
}

let anyMade = false;

// A Buffer of `size` bytes that is sent without a copy. One that is too small to be worth it, or has no room, is as
// any other.
function alloc(size) {
  if (native.allocate === undefined || typeof size !== 'number' || !(size >= LEAST)) return Buffer.alloc(size);
  const made = native.allocate(size);
  if (made === null) return Buffer.alloc(size);
  anyMade = true;
  lookForGarbage(size);
  return made.fill(0);
}

// Gives the memory of a Buffer back that was received by view, or is from `alloc`, or was copied by us.
function releaseMemory(buffer) {
  const memory = ArrayBuffer.isView(buffer) ? buffer.buffer : buffer;
  return memory instanceof ArrayBuffer && native.releaseMemory !== undefined && native.releaseMemory(memory);
}

// What a link has of them. `propose(number)` is its own: it offers a memory to the other end, and calls `taken` when that has
// it.
class Slabs {
  #link;
  #offered = [false, false];
  #ready = [false, false];
  #place = Buffer.alloc(PLACE);
  #writing = false;
  #laid = 0; // by the message that is being written
  #fetched = 0; // bytes in this turn of the loop
  #told = 0; // and how many of them the sender knows of
  #lent = 0; // bytes that a peer which keeps the rules has lent us at once, at most

  constructor(link) {
    this.#link = link;
    this.beside = 0; // bytes beside the message that is being written; of the one that is being read, with its own
  }

  // ---- sending ----

  // A message is about to be written. False while another one is.
  begin() {
    if (this.#writing) return false;
    this.#writing = true;
    this.#laid = 0;
    this.beside = 0;
    return true;
  }

  end() {
    this.#writing = false;
  }

  // Lays a view's bytes beside the message and answers its kind; -1 where they have to be within.
  lay(view) {
    const size = view.byteLength;
    const kind = view.constructor === Buffer ? BUFFER : KINDS.get(Object.prototype.toString.call(view)) ?? -1;
    if (size < LEAST || kind === -1 || !(this.#layMade(view, size) || this.#layCopy(view, size))) return -1;
    this.#laid++;
    this.beside += size;
    return kind;
  }

  // Lays bytes that are a message's all, if they are in memory of `alloc`. Others are copied as the message is sent, once
  // there is memory for them, which this offers.
  layMade(bytes) {
    return this.#layMade(bytes, bytes.length) || this.prepare();
  }

  // Sees to it that there is memory the next time.
  prepare() {
    if (!this.#ready[OWN]) this.#offer(OWN);
    return false;
  }

  // Where the last one lies.
  get place() {
    return this.#place;
  }

  // The message is not sent.
  undo() {
    if (this.#laid > 0 && this.#link.open) this.#link.native.takeBack(this.#laid);
    this.#laid = 0;
  }

  #layMade(view, size) {
    if (!anyMade || !(view.buffer instanceof ArrayBuffer)) return false;
    if (!this.#ready[MADE] && this.#offered[MADE]) return false;
    if (this.#ready[MADE]) return this.#link.native.layAllocated(view.buffer, view.byteOffset, size, this.#place);
    this.#offer(OWN);
    this.#offer(MADE);
    return false;
  }

  #layCopy(view, size) {
    if (!this.#ready[OWN]) {
      this.#offer(OWN);
      return false;
    }
    const bytes = view instanceof Uint8Array ? view : Buffer.from(view.buffer, view.byteOffset, size);
    return this.#link.native.lay(bytes, this.#place);
  }

  #offer(number) {
    const { maxSharedBytes } = this.#link.settings;
    if (this.#offered[number] || maxSharedBytes === 0) return;
    this.#offered[number] = true;
    this.propose(number, maxSharedBytes);
  }

  // The other end has it.
  taken(number) {
    if (number !== OWN && number !== MADE || !this.#offered[number] || !this.#link.open) return;
    this.#ready[number] = true;
    this.#link.native.slabReady(number);
  }

  // ---- receiving ----

  // Takes memory that the other end has offered, if it is one of ours that this end can map. The descriptor stays the
  // caller's.
  accept(number, fd) {
    if (number !== OWN && number !== MADE || !this.#link.open) return false;
    try {
      this.#link.native.acceptSlab(number, fd);
      this.#lent = this.#link.native.lentToUs();
      return true;
    } catch {
      return false;
    }
  }

  // A turn of the loop begins.
  turn() {
    this.#fetched = 0;
    this.#told = 0;
  }

  // The view of this kind whose bytes lie where `message` says at `at`.
  fetch(kind, message, at) {
    const Type = TYPES[kind];
    const size = message.readUInt32LE(at + PLACE - 4);
    if (Type === undefined || size % (Type.BYTES_PER_ELEMENT ?? 1) !== 0) throw new Error(`no view of kind ${kind} has ${size} bytes`);
    const bytes = this.bytesAt(message, at, this.#link.payload === 'view');
    return kind === BUFFER ? bytes : new Type(bytes.buffer);
  }

  // A Buffer of its own ArrayBuffer with the bytes that lie where `message` says at `at`.
  bytesAt(message, at, view, limit) {
    const size = this.#count(message, at, limit);
    const { native: channel } = this.#link;
    let bytes = channel.fetch(message, at, view);
    if (bytes === null) {
      bytes = Buffer.allocUnsafeSlow(size);
      channel.fetchInto(message, at, bytes);
    } else {
      lookForGarbage(size);
    }
    this.tell(TELL);
    return bytes;
  }

  // The JSON texts at `place`; null if they are nested too deeply.
  textAt(place, limit) {
    this.#count(place, 0, limit);
    const text = this.#link.native.fetchText(place);
    this.tell(TELL);
    return text;
  }

  // How many bytes lie there; they are counted before anything is copied, since all that a message says of them takes a few
  // bytes.
  #count(message, at, limit = this.#link.settings.maxMessageSize) {
    const size = message.readUInt32LE(at + PLACE - 4);
    this.beside += size;
    if (this.beside > limit) throw new TooLarge();
    this.#fetched += size;
    if (this.#fetched > this.#lent) throw new Error('more was sent than there is');
    return size;
  }

  // A sender that waits goes on while the rest is read.
  tell(least) {
    if (this.#fetched - this.#told < least || !this.#link.open) return;
    this.#told = this.#fetched;
    this.#link.native.fetched();
  }
}

// A message whose Buffers are larger than this end takes.
class TooLarge extends Error {}

module.exports = { Slabs, TooLarge, OWN, LEAST, PLACE, alloc, releaseMemory };
