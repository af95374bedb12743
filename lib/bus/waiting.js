'use strict';
// A subscription as the broker has it: whom it is for, and the messages its connection has no room for yet.

const { matcher } = require('./topic.js');
const { address, encode, KINDS } = require('./wire.js');

const MOST_BYTES = 16 * 1024 * 1024;

class Waiting {
  #entries = [];
  #bytes = 0;
  #dropped = 0; // since the last one that was sent
  #owed = 0; // of the entries, those that came with the subscription and count for no limit
  #owedBytes = 0;

  constructor(member, { ref, pattern, retained, policy, max, again }) {
    this.member = member;
    this.ref = ref;
    this.retained = retained === true && again !== true;
    this.matches = matcher(pattern);
    this.policy = policy;
    this.max = max;
  }

  push(frame) {
    if (this.#isFull(frame)) this.member.flush();
    if (this.#isFull(frame) && this.policy === 'disconnect') {
      this.member.drop(this);
      this.member.say(encode(KINDS.ENDED, { ref: this.ref, dropped: this.#dropped + this.#entries.length + 1 }));
      this.clear();
      return;
    }
    while (this.#isFull(frame) && this.#entries.length > 0) {
      this.#bytes -= this.#entries.shift().length;
      this.#dropped++;
    }
    this.#add(frame);
  }

  // What was published before it was made, or made again.
  owe(frame) {
    this.#owed++;
    this.#owedBytes += frame.length;
    this.#add(frame);
  }

  #add(frame) {
    this.#entries.push(frame);
    this.#bytes += frame.length;
    this.member.touch(this);
  }

  #isFull(frame) {
    const { length } = this.#entries;
    return length >= this.max + this.#owed || (length > 0 && this.#bytes + frame.length > MOST_BYTES + this.#owedBytes);
  }

  // Whether there is nothing left.
  send() {
    let count = 0;
    while (count < this.#entries.length && this.member.hasRoom()) {
      const frame = this.#entries[count++];
      this.#bytes -= frame.length;
      this.member.say(address(frame, this.ref, this.#dropped));
      this.#dropped = 0;
    }
    this.#entries.splice(0, count);
    this.#owed = Math.max(0, this.#owed - count);
    if (this.#owed === 0) this.#owedBytes = 0;
    return this.#entries.length === 0;
  }

  clear() {
    this.#entries = [];
    this.#bytes = 0;
  }
}

module.exports = { Waiting };
