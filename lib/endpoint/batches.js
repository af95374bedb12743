'use strict';
// Messages of codec 'json' between ends that both read batches, encoded as on the fork channel (../fork/codec): keys travel
// once, and there is no JSON to write or read. What arrives is what JSON would have made of it.
//
// A frame is three numbers of four bytes, how many words and how many UTF-16 units of text it has, and bits; then the
// words, then the text.

const { rsipc } = require('../errors.js');
const { Encoder, WARM_UP } = require('../fork/codec/encoder.js');
const { Decoder } = require('../fork/codec/decoder.js');
const { bytesAbove } = require('../fork/size.js');
const { rejected } = require('./rejected.js');
const proto = require('./proto.js');
const { MESSAGE, BATCH } = require('./kinds.js');

const EMPTY = Buffer.alloc(0);
const ACCEPTED = Promise.resolve();
const HEAD = 12; // bytes
const WIDE = 1; // two bytes for each unit of the text, not one
const COMMON = 2; // sent to several connections: has nothing to do with the other batches of any
const CHUNK = 64 * 1024; // bytes after which a batch leaves
// Large messages are faster as text, which can lie beside the connection: behind one, so many are not tried.
const LARGE = 8 * 1024;
const REST = 64;
const NOT_LATIN = /[\u0100-\uffff]/;
const KEPT = 256 * 1024;
// Bytes of a batch of messages of no more than `limit` bytes each: as the native end has it of those in frames.
const RUN = 512 * 1024;
const longest = (limit) => 3 * limit + RUN;

let packed = Buffer.allocUnsafeSlow(2 * CHUNK);
let numbers = new Int32Array(packed.buffer);

// What is on its way to a peer, or to all of a server's.
class Outgoing {
  constructor() {
    this.encoder = new Encoder();
    this.encoder.cold = 0; // that was waited for before this was made
    this.resting = 0;
  }

  // The text of a message that is better sent as such, undefined for one that JSON has nothing for, null for all others.
  whole(message) {
    if (this.resting === 0) return this.encoder.whole(message);
    this.resting--;
    return JSON.stringify(message);
  }

  // Answers false for what JSON has nothing for.
  add(message) {
    const { encoder } = this;
    const before = encoder.size;
    if (!encoder.add(message)) return false;
    if (encoder.size - before > LARGE) this.resting = REST;
    return true;
  }

  // The batch as a frame's payload, in memory that the next one takes; then there is none.
  take(common) {
    const { encoder } = this;
    const { words, length, text } = encoder;
    const wide = NOT_LATIN.test(text);
    const from = HEAD + length * 4;
    const size = from + (wide ? 2 : 1) * text.length;
    if (size > packed.length) {
      packed = Buffer.allocUnsafeSlow(size);
      numbers = new Int32Array(packed.buffer, 0, size >>> 2);
    }
    numbers[0] = length;
    numbers[1] = text.length;
    numbers[2] = (wide ? WIDE : 0) | (common ? COMMON : 0);
    numbers.set(words.subarray(0, length), HEAD / 4);
    if (wide) packed.ucs2Write(text, from);
    else packed.latin1Write(text, from);
    const payload = packed.subarray(0, size);
    if (size > KEPT) {
      packed = Buffer.allocUnsafeSlow(2 * CHUNK);
      numbers = new Int32Array(packed.buffer);
    }
    encoder.reset();
    return payload;
  }

  // The next batch says anew what all its keys are.
  begin() {
    const { encoder } = this;
    const { shapes } = encoder;
    for (const shape of shapes.known) {
      shape.number = -1;
      shape.forgetStrings();
    }
    shapes.known = [];
    shapes.sure = 0;
    encoder.site.elements = null;
    encoder.forget = true;
  }
}

// Takes a message to be sent at the end of the tick, of a link that has an Outgoing and is open and not full.
function put(link, message) {
  const { outgoing } = link;
  const text = outgoing.whole(message);
  if (text === undefined) throw rsipc.notSerializable();
  if (text !== null) return link.put(MESSAGE, text);
  if (link.server !== null) link.server.cast();
  if (link.kind !== BATCH) link.part(BATCH);
  if (!outgoing.add(message)) throw rsipc.notSerializable();
  // The message may have code of its own, which has sent something or ended the connection.
  if (link.outgoing !== outgoing) return rejected(rsipc.connectionClosed(link.who()));
  if (link.kind !== BATCH) link.part(BATCH);
  link.schedule();
  if (outgoing.encoder.size < CHUNK) return ACCEPTED;
  link.memory()?.prepare();
  link.write();
  return link.room();
}

// Hands over what was gathered.
function flush(link, write) {
  const { outgoing } = link;
  if (outgoing !== null && outgoing.encoder.count > 0) link.answered(link.native.sendBytes(BATCH, EMPTY, outgoing.take(false), write));
}

// Tells what the messages of a batch say.
function receive(link, bytes, clean) {
  const batch = parts(bytes);
  if (batch === null) {
    link.malformed(bytes.length);
    return;
  }
  const { words, text, common } = batch;
  const { native, settings: { maxDepth, maxMessageSize } } = link;
  link.incoming ??= [null, null];
  const { incoming } = link;
  const decoder = incoming[common] ??= new Decoder({ maxDepth });
  const action = proto.ofText(link.settings, text);
  let threw = false;
  let thrown;
  const tell = (message, size) => {
    if (link.native !== native) return;
    const above = bytesAbove(maxMessageSize - 1, message, size, decoder.longestKey);
    if (above > 0) {
      link.tooLarge(above);
      return;
    }
    if (action !== null && !clean(link, message, action)) return;
    // When a listener threw, its neighbours are told all the same, in the next turn.
    if (threw || link.full || link.backlog !== null) {
      link.keepBack(() => link.deliver(message, size));
      return;
    }
    try {
      link.deliver(message, size);
    } catch (error) {
      threw = true;
      thrown = error;
    }
  };
  try {
    decoder.decode(words, words.length, text, tell);
  } catch (error) {
    if (link.native === native) {
      if (error.code === 'ERR_RSIPC_TOO_DEEP') link.fail(rsipc.protocol(error.code, `${link.who()}: ${error.message}`));
      else link.malformed(bytes.length);
    }
  }
  if (threw) throw thrown;
}

// What a batch consists of; null if that cannot be.
function parts(bytes) {
  if (bytes.length < HEAD) return null;
  const whole = bytes.byteOffset % 4 === 0 ? bytes : Buffer.from(Uint8Array.prototype.slice.call(bytes).buffer);
  const [length, units, bits] = new Uint32Array(whole.buffer, whole.byteOffset, HEAD / 4);
  const wide = (bits & WIDE) !== 0;
  const from = HEAD + length * 4;
  if (length === 0 || bits > (WIDE | COMMON) || from + (wide ? 2 : 1) * units !== bytes.length) return null;
  return {
    words: new Int32Array(whole.buffer, whole.byteOffset + HEAD, length),
    text: wide ? bytes.ucs2Slice(from, bytes.length) : bytes.latin1Slice(from, bytes.length),
    common: (bits & COMMON) >> 1,
  };
}

module.exports = { Outgoing, WARM_UP, longest, put, flush, receive };
