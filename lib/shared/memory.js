'use strict';
// `rsipc.SharedMemory`: bytes that several processes see.

const { constants } = require('node:buffer');
const { rsipc } = require('../errors.js');
const validate = require('../validate.js');
const { Shared, inner, attempt, madeBy } = require('./object.js');

const EMPTY = Buffer.alloc(0);

function sizeOf(options) {
  validate.integer(options.size, 'options.size', 1, Math.min(constants.MAX_LENGTH, 2 ** 40));
  return options.size;
}

class SharedMemory extends Shared {
  #size;
  #buffer = null;

  constructor(key, native, name) {
    super(key, native, 'memory', name);
    this.#size = native.length;
    inner(this).release = () => {
      const buffer = this.#buffer?.buffer;
      this.#buffer = EMPTY;
      native.close(buffer);
    };
  }

  static {
    madeBy(this, 'memory', 'SharedBytes', (options) => [sizeOf(options)]);
  }

  get size() {
    return this.#size;
  }

  get buffer() {
    if (this.#buffer === null) {
      const mine = inner(this);
      const lent = attempt(mine, () => mine.native.lend());
      if (lent === null) throw rsipc.noViews(mine.what());
      this.#buffer = Buffer.from(lent);
    }
    return this.#buffer;
  }
}

module.exports = { SharedMemory };
