'use strict';
// The messages of a JSON channel that travels through shared memory: encoded on one side, decoded on the other,
// with what JSON would make of them.
//
// A call into the native channel costs more than a small message. So the first message of a tick leaves with a
// call, and the others are left on the stage, until the tick ends or the stage is full.

const { Encoder } = require('./codec/encoder.js');
const { Decoder } = require('./codec/decoder.js');
const { Stage } = require('./stage.js');

const GATHERED = 1; // the native channel's answer to a message that is not written yet
const FIRST_BATCH = 16 * 1024; // bytes of numbers
const LARGE_BATCH = 1024 * 1024; // memory above which is not kept

// The encoder begins after so many characters of JSON. A channel in shared memory has shown already that it is busy. Of
// many children that send at once each has code of its own to compile, on cores that all of them want.
const WARM_UP = 1024 * 1024;

class Outgoing {
  // `flush` empties the stage; it answers whether the channel can be written to.
  constructor(native, flush) {
    this.native = native;
    this.encoder = new Encoder();
    this.encoder.cold = WARM_UP;
    this.words = null;
    this.bytes = null; // the same memory
    const memory = native.openStage();
    this.stage = memory == null ? null : new Stage(memory, flush);
    this.size = 0; // bytes of the last message, or more
  }

  // Sends one message; `later`: it may be left on the stage. Answers as the native channel does, or undefined
  // for what JSON has nothing for.
  send(message, later, gather) {
    const { encoder, stage } = this;
    const whole = encoder.whole(message);
    if (whole !== null) {
      if (whole === undefined) return undefined;
      if (later && stage !== null && stage.putWhole(whole)) {
        this.size = whole.length + 4;
        if (!stage.watched) this.native.watchStage();
        return GATHERED;
      }
      this.size = 3 * whole.length + 1;
      return this.native.send(whole, whole.length, gather);
    }
    if (!encoder.add(message)) return undefined;
    const { words, length, text } = encoder;
    if (later && stage !== null && stage.put(words, length, text)) {
      this.size = length * 4 + text.length;
      encoder.reset();
      if (!stage.watched) this.native.watchStage();
      return GATHERED;
    }
    if (words !== this.words) {
      this.words = words;
      this.bytes = Buffer.from(words.buffer, words.byteOffset, words.byteLength);
    }
    const code = this.native.sendEncoded(this.bytes, length * 4, text, text.length, gather);
    this.size = length * 4 + text.length * 2;
    encoder.reset();
    if (code < 0) {
      // What this message would have taught the peer it does not know.
      this.encoder = new Encoder();
      this.encoder.forget = true;
    }
    return code;
  }

  // Writes what lies on the stage.
  flushNative() {
    if (this.stage === null) return this.native.flush();
    const code = this.native.flushStage();
    this.stage.restart();
    return code;
  }
}

class Incoming {
  constructor(native, maxDepth, deliver) {
    this.native = native;
    this.decoder = new Decoder({ maxDepth });
    this.deliver = deliver;
    this.#make(FIRST_BATCH);
  }

  #make(bytes) {
    this.words = new Int32Array(Math.ceil(bytes / 4));
    this.bytes = Buffer.from(this.words.buffer);
  }

  // Delivers the messages of the next batch. Throws when it is malformed, or what `deliver` throws.
  receive() {
    const { native } = this;
    let text = native.takeBatch(this.bytes);
    if (typeof text === 'number') {
      this.#make(text);
      text = native.takeBatch(this.bytes);
    }
    const { words } = this;
    try {
      this.decoder.decode(words, words[words.length - 1] >>> 2, text, this.deliver);
    } finally {
      if (words.byteLength > LARGE_BATCH) this.#make(FIRST_BATCH);
    }
  }
}

module.exports = { Outgoing, Incoming };
