'use strict';
// When a channel is read and when not, and for how long a message may be incomplete.

const { LONGEST_TIMER } = require('./settings.js');

const READABLE = 1; // libuv's UV_READABLE
const LOOK = 20; // ms between two looks for room that nothing tells of
const LATE = 50; // ms after which a timer shows that the loop was busy

class Pace {
  #link;
  #reasons = new Set(); // why the channel is not read
  #since = 0;
  #total = 0; // milliseconds without reading, up to the last resumption
  #partial = null; // timers
  #room = null;

  constructor(link) {
    this.#link = link;
  }

  get isPaused() {
    return this.#reasons.size > 0;
  }

  // Not reading makes the kernel push back on the peer.
  pause(reason, on) {
    const reasons = this.#reasons;
    const before = reasons.size > 0;
    if (on) reasons.add(reason);
    else reasons.delete(reason);
    if (before === reasons.size > 0) return;
    if (before) this.#total += performance.now() - this.#since;
    else this.#since = performance.now();
    const link = this.#link;
    if (!link.open || link.lingering) return;
    link.native.pause(!before);
    if (!before) this.lookForRoom();
    // What a flush has read meanwhile makes no descriptor readable.
    if (before && link.native.pending) setImmediate(() => link.turn(READABLE));
  }

  // A paused end that waits for room in the ring hears of it by the socket, unless so many handles wait for their
  // places that it is not read.
  lookForRoom() {
    const link = this.#link;
    if (this.#room !== null || link.transport !== 'ring' || !link.open || !link.native.blind) return;
    this.#room = setTimeout(() => {
      this.#room = null;
      link.turn(0);
    }, LOOK).unref();
  }

  // Milliseconds in which this end did not read.
  #paused() {
    return this.#total + (this.#reasons.size > 0 ? performance.now() - this.#since : 0);
  }

  // From the first incomplete message on a timer looks at what is incomplete; the native channel need not
  // say so again with every read. Time in which this end did not read is not the peer's: while the channel
  // was paused, and while the loop was too busy to call the timer.
  watchPartial() {
    if (this.#partial === null) this.#watch(this.#link.settings.frameTimeout - Math.max(this.#link.native.partialAge, 0));
  }

  #watch(wait) {
    const link = this.#link;
    const { native, settings: { frameTimeout } } = link;
    native.watchPartial(true);
    if (frameTimeout > LONGEST_TIMER) return;
    const started = performance.now();
    const pausedBefore = this.#paused();
    const due = Math.max(wait, 1);
    this.#partial = setTimeout(() => {
      this.#partial = null;
      if (!link.open) return;
      const late = performance.now() - started - due;
      const owed = this.#paused() - pausedBefore + (late > LATE ? late : 0);
      if (this.#reasons.size === 0) link.turn(READABLE);
      if (!link.open || link.stopped || this.#partial !== null) return;
      const age = native.partialAge;
      if (age < 0) native.watchPartial(false);
      else if (this.#reasons.size > 0) this.#watch(frameTimeout);
      else if (owed > 0) this.#watch(Math.min(owed, frameTimeout));
      else if (age < frameTimeout) this.#watch(frameTimeout - age);
      else link.protocolError('ERR_RSIPC_FRAME_TIMEOUT', `a message has been incomplete for ${frameTimeout} ms, with ${native.partialBytes} bytes of it here`, { last: true }); // the rest may come at any time
    }, due).unref();
  }

  // The channel is over.
  end() {
    clearTimeout(this.#partial);
    clearTimeout(this.#room);
  }
}

module.exports = { Pace };
