'use strict';
// What the user has of a subscription.

const MOST_PUBLISHERS = 4_096; // of whom it is known how far they are

class Subscription {
  #bus;
  #listener;
  #seen = new Map(); // the last number of each publisher

  constructor(bus, pattern, listener) {
    this.#bus = bus;
    this.#listener = listener;
    this.pattern = pattern;
    this.dropped = 0; // messages that it was too slow for
    this.active = true;
  }

  isOf(pattern, listener) {
    return this.pattern === pattern && (listener === undefined || listener === this.#listener);
  }

  // Whether this is no repetition, of what the last broker had passed on.
  isNews({ from, seq, replay }) {
    if (replay === true) return true;
    if (seq <= (this.#seen.get(from) ?? 0)) return false;
    this.#seen.set(from, seq);
    if (this.#seen.size > MOST_PUBLISHERS) this.#seen.delete(this.#seen.keys().next().value);
    return true;
  }

  tell(message, topic) {
    this.#listener.call(undefined, message, topic);
  }

  unsubscribe() {
    return this.#bus.unsubscribe(this);
  }
}

module.exports = { Subscription };
