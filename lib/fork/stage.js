'use strict';
// Memory in which encoded messages are left for the native channel without a call into it, which costs more
// than a small message. crates/core/src/channel/stage.rs says what lies where. The late writer reads it from
// another thread: so each message is first written and then said to be there.

const { JSON_TEXT } = require('./codec/format.js');

const SAID = 0;
const WATCHED = 1;
const PLACES = 4; // in numbers of 4 bytes, as all that follows but the text
const PLACE = 4;
const WORDS = 16;
const WORDS_SIZE = 8 * 1024;
const TEXT = (WORDS + WORDS_SIZE) * 4; // in bytes
const TEXT_SIZE = 32 * 1024;

const LONGEST_TEXT = 4096;
const LONGEST_MESSAGE = 512; // numbers

// From so many characters on Node's own copying is faster than a loop.
const LOOP = 24;

class Stage {
  // `flush` has all that lies here fetched; it answers whether the channel can be written to.
  constructor(memory, flush) {
    this.numbers = new Int32Array(memory);
    this.bytes = Buffer.from(memory);
    this.flush = flush;
    this.said = 0;
    this.words = 0;
    this.text = 0;
    this.messages = 0;
  }

  // Leaves a message here. False when it is not for here: too long, or its text is not Latin-1.
  put(words, length, text) {
    const { numbers } = this;
    if (length > LONGEST_MESSAGE || text.length > LONGEST_TEXT) return false;
    if (!this.#hasRoom(length, text.length) && !this.flush()) return false;
    if (!this.#write(text)) return false;
    let at = WORDS + this.words;
    for (let i = 0; i < length; i++) numbers[at++] = words[i];
    this.#say(length, text.length);
    return true;
  }

  // Leaves a message here that is one JSON text. False when that is too long, or not ASCII.
  putWhole(text) {
    const units = text.length;
    if (units > LONGEST_TEXT) return false;
    if (!this.#hasRoom(1, units) && !this.flush()) return false;
    if (!this.#writeAscii(text)) return false;
    this.numbers[WORDS + this.words] = units << 3 | JSON_TEXT;
    this.#say(1, units);
    return true;
  }

  // The text counts twice: that is what Node may need to write it as UTF-8.
  #hasRoom(length, units) {
    return this.words + length <= WORDS_SIZE && this.text + 2 * units <= TEXT_SIZE;
  }

  #write(text) {
    const units = text.length;
    if (units >= LOOP && this.#writeAscii(text)) return true;
    const { bytes } = this;
    let at = TEXT + this.text;
    let all = 0;
    for (let i = 0; i < units; i++) {
      const unit = text.charCodeAt(i);
      all |= unit;
      bytes[at++] = unit;
    }
    return all <= 0xFF;
  }

  // A text that takes as many bytes as it has characters is ASCII.
  #writeAscii(text) {
    const units = text.length;
    return this.bytes.utf8Write(text, TEXT + this.text, 2 * units) === units;
  }

  #say(length, units) {
    const { numbers } = this;
    this.words += length;
    this.text += units;
    this.messages++;
    const number = ++this.said;
    const place = PLACES + (number & 1) * PLACE;
    numbers[place] = this.words;
    numbers[place + 1] = this.text;
    numbers[place + 2] = this.messages;
    Atomics.store(numbers, SAID, number | 0);
  }

  // Whether somebody looks here when the turn takes long.
  get watched() {
    return Atomics.load(this.numbers, WATCHED) === 1;
  }

  // All was fetched by a call of this thread.
  restart() {
    this.words = 0;
    this.text = 0;
    this.messages = 0;
  }
}

module.exports = { Stage };
