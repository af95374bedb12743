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
  get SharedMap() {
    return require('./map.js').SharedMap;
  },
  get Mutex() {
    return require('./mutex.js').Mutex;
  },
  get RwLock() {
    return require('./rwlock.js').RwLock;
  },
  get Semaphore() {
    return require('./semaphore.js').Semaphore;
  },
  get Event() {
    return require('./event.js').Event;
  },
  get Barrier() {
    return require('./barrier.js').Barrier;
  },
};
