'use strict';
// Functions made for one sequence of keys. All channels of a thread share them: V8 then compiles each once, and a
// channel that is opened later finds it fast.

const { MAX_GENERATED, generates } = require('./format.js');

class Generated {
  // `generate(keys)` makes one.
  constructor(generate) {
    this.generate = generate;
    this.known = new Map(); // by the keys as JSON
  }

  find(keys) {
    return this.known.size === 0 ? undefined : this.known.get(JSON.stringify(keys));
  }

  // Undefined where there can be none.
  make(keys) {
    if (!generates) return undefined;
    const name = JSON.stringify(keys);
    let made = this.known.get(name);
    if (made !== undefined) return made;
    try {
      made = this.generate(keys);
    } catch {
      return undefined; // the stack has no room, or code from strings is no longer allowed
    }
    // Whoever has one keeps it.
    if (this.known.size === MAX_GENERATED) this.known.clear();
    this.known.set(name, made);
    return made;
  }
}

module.exports = { Generated };
