'use strict';
// The kinds of shared object, each loaded when it is asked for.

module.exports = {
  get Ring() {
    return require('./ring.js').Ring;
  },
  get SharedMemory() {
    return require('./memory.js').SharedMemory;
  },
  get Cell() {
    return require('./cell.js').Cell;
  },
};
