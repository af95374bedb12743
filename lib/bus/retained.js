'use strict';
// The last value of each topic. The broker answers new subscriptions from it; every other member keeps what it has
// published or received of it, for the next broker. A stamp of the broker says which of two values is the later one.

const MOST_BYTES = 16 * 1024 * 1024;

class Retained {
  #entries = new Map(); // by topic, the longest unchanged first
  #most;
  #bytes = 0;

  constructor(most) {
    this.#most = most;
  }

  // Whether it is news. An entry is { topic, stamp, from, seq, keep, body }; keep 2 says that there is no value any more.
  put(entry) {
    const old = this.#entries.get(entry.topic);
    if (old !== undefined && old.stamp >= entry.stamp) return false;
    if (old !== undefined) this.#remove(old);
    // Not with the run of bytes that it came in.
    const kept = { ...entry, body: Buffer.from(entry.keep === 2 ? '' : entry.body) };
    this.#entries.set(entry.topic, kept);
    this.#bytes += kept.body.length;
    for (const oldest of this.#entries.values()) {
      if (this.#entries.size <= this.#most && this.#bytes <= MOST_BYTES) break;
      this.#remove(oldest);
    }
    return true;
  }

  #remove(entry) {
    this.#entries.delete(entry.topic);
    this.#bytes -= entry.body.length;
  }

  [Symbol.iterator]() {
    return this.#entries.values();
  }
}

module.exports = { Retained };
