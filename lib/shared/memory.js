'use strict';
// `rsipc.SharedMemory`: bytes that several processes see.

const { constants } = require('node:buffer');
const { rsipc } = require('../errors.js');
const validate = require('../validate.js');
const { MAKE, Shared, inner, attempt, summon, checkName, checkOptions } = require('./object.js');
const { ADOPT } = require('./travel.js');

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

  static create(options) {
    checkOptions(options, false);
    const { name } = options;
    const size = sizeOf(options);
    return new SharedMemory(MAKE, summon('memory', name, (native, number) => native.SharedBytes.create(size, name, number)), name);
  }

  static open(name) {
    checkName(name);
    return new SharedMemory(MAKE, summon('memory', name, (native, number) => native.SharedBytes.open(name, number)), name);
  }

  static [ADOPT](fd) {
    return new SharedMemory(MAKE, summon('memory', undefined, (native, number) => native.SharedBytes.adopt(fd, number)));
  }

  static openOrCreate(options) {
    checkOptions(options, true);
    const { name } = options;
    const size = sizeOf(options);
    return new SharedMemory(MAKE, summon('memory', name, (native, number) => native.SharedBytes.openOrCreate(size, name, number)), name);
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
