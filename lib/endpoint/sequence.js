'use strict';
// The numbers of one sender's datagrams: which were lost, came late, came twice.

const WINDOW = 1_024; // so far back it is known which have come
const [UNKNOWN, MISSING, SEEN] = [0, 1, 2];

class Sequence {
  #highest = null;
  #states = new Uint8Array(WINDOW);
  #counters;

  constructor(counters) {
    this.#counters = counters;
  }

  // Whether the datagram of this number is to be told; counts what it shows. Numbers are of 32 bits and go round.
  take(number) {
    const counters = this.#counters;
    if (this.#highest === null) this.#begin(number);
    const ahead = (number - this.#highest) | 0;
    if (ahead > 0) {
      counters.lost += ahead - 1;
      if (ahead > WINDOW) this.#states.fill(MISSING);
      else for (let one = 1; one < ahead; one++) this.#states[(this.#highest + one) % WINDOW] = MISSING;
      this.#highest = number;
    } else {
      const state = ahead <= -WINDOW ? SEEN : this.#states[number % WINDOW];
      if (state === SEEN) {
        counters.duplicates++;
        return false;
      }
      counters.reordered++;
      if (state === MISSING) counters.lost--;
    }
    this.#states[number % WINDOW] = SEEN;
    counters.received++;
    return true;
  }

  // What came before the first that was heard is nobody's loss.
  #begin(number) {
    this.#states.fill(UNKNOWN);
    this.#highest = (number - 1) >>> 0;
    this.#states[this.#highest % WINDOW] = UNKNOWN;
  }
}

module.exports = { Sequence };
