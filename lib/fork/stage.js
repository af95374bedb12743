'use strict';
// Memory in which encoded messages are left for the native channel without a call into it, which costs more
// than a small message. crates/core/src/channel/stage.rs says what lies where. The late writer reads it from
// another thread: so each message is first written and then said to be there.

const SAID = 0;
const WATCHED = 1;
const PLACES = 4; // in numbers of 4 bytes, as all that follows but the text
const PLACE = 4;
const WORDS = 16;
const WORDS_SIZE = 8 * 1024;
const TEXT = (WORDS + WORDS_SIZE) * 4; // in bytes
const TEXT_SIZE = 32 * 1024;

// A longer text is faster copied by a call.
const LONGEST_TEXT = 256;
const LONGEST_MESSAGE = 512; // numbers

class Stage {
  constructor(memory) {
    this.numbers = new Int32Array(memory);
    this.bytes = new Uint8Array(memory);
    this.said = 0;
    this.words = 0;
    this.text = 0;
    this.messages = 0;
  }

  // Whether a message of this size may be left here at all, and whether there is room for it now.
  takes(length, units) {
    return length <= LONGEST_MESSAGE && units <= LONGEST_TEXT;
  }

  hasRoom(length, units) {
    return this.words + length <= WORDS_SIZE && this.text + units <= TEXT_SIZE;
  }

  // Leaves a message here. False when its text is not Latin-1.
  put(words, length, text) {
    const { numbers, bytes } = this;
    const units = text.length;
    let at = TEXT + this.text;
    let all = 0;
    for (let i = 0; i < units; i++) {
      const unit = text.charCodeAt(i);
      all |= unit;
      bytes[at++] = unit;
    }
    if (all > 0xFF) return false;
    at = WORDS + this.words;
    for (let i = 0; i < length; i++) numbers[at++] = words[i];
    this.words += length;
    this.text += units;
    this.messages++;
    const number = ++this.said;
    const place = PLACES + (number & 1) * PLACE;
    numbers[place] = this.words;
    numbers[place + 1] = this.text;
    numbers[place + 2] = this.messages;
    Atomics.store(numbers, SAID, number | 0);
    return true;
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
