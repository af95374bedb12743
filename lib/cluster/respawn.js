'use strict';
// Starts workers again that have ended by themselves, ever later when they do so at once, and at last not any more.

const { rsipc } = require('../errors.js');
const { respawnOf } = require('./settings.js');

const STEADY = 10_000; // ms that a worker must have run for its end to be no sign of the next one's

class Respawn {
  constructor(primary) {
    this.primary = primary;
    this.failures = 0; // in a row
    this.timers = new Set();
    this.given = false; // up
  }

  // `lived`: for how many milliseconds.
  exited(worker, variables, lived, code, signal) {
    const { cluster } = this.primary;
    const settings = respawnOf(cluster.settings);
    if (settings === undefined || this.given) return;
    this.failures = lived >= STEADY ? 0 : this.failures + 1;
    if (this.failures > settings.limit) {
      this.given = true;
      this.#cancel();
      const error = rsipc.crashLoop(this.failures, code, signal);
      if (cluster.listenerCount('crashLoop') > 0) cluster.emit('crashLoop', error);
      else process.emitWarning(error);
      return;
    }
    const delay = this.failures === 0 ? 0 : Math.min(settings.delay * 2 ** (this.failures - 1), settings.maxDelay);
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      this.primary.fork(variables);
    }, delay);
    this.timers.add(timer);
  }

  // Somebody starts a worker: it is tried again.
  resume() {
    if (this.given) this.reset();
  }

  // The cluster is to end, or begins anew.
  reset() {
    this.#cancel();
    this.failures = 0;
    this.given = false;
  }

  #cancel() {
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
  }
}

module.exports = { Respawn };
