'use strict';
// Starts workers again that have ended by themselves, ever later when they do so at once, and at last not any more.

const { rsipc } = require('../errors.js');
const { respawnOf } = require('./settings.js');

const STEADY = 10_000; // ms that a worker must have run for its end to be no sign of the next one's
const UNUSED = 30_000; // ms after which nobody is expected any more to listen where a worker did that has ended

class Respawn {
  constructor(primary) {
    this.primary = primary;
    this.failures = 0; // in a row
    this.timers = new Map(); // to the variables of the worker that will be started
    this.given = false; // up
    this.unused = null;
  }

  // Whether one is started in the place of this one when it ends now.
  follows(worker) {
    return !worker.exitedAfterDisconnect && !this.given && respawnOf(this.primary.cluster.settings) !== undefined;
  }

  // `lived`: for how many milliseconds.
  exited(variables, lived, code, signal) {
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
      this.#start(variables);
    }, delay);
    this.timers.set(timer, variables);
  }

  #start(variables) {
    try {
      this.primary.forkAgain(variables);
    } catch (error) {
      process.emitWarning(error);
      this.exited(variables, 0, error.code, null);
      return;
    }
    clearTimeout(this.unused);
    this.unused = setTimeout(() => this.closeUnused(), UNUSED).unref();
  }

  // Unless somebody is expected to listen there again.
  closeUnused() {
    if (this.timers.size === 0) this.primary.closeAllUnused();
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

  // There is a new program: those that wait for their time are started at once.
  hurry() {
    const waiting = [...this.timers.values()];
    for (const timer of this.timers.keys()) clearTimeout(timer);
    this.timers.clear();
    this.failures = 0;
    this.given = false;
    for (const variables of waiting) this.#start(variables);
  }

  #cancel() {
    for (const timer of this.timers.keys()) clearTimeout(timer);
    this.timers.clear();
    this.primary.closeAllUnused();
  }
}

module.exports = { Respawn };
