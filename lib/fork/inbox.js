'use strict';
// What was read and not yet told, in the order of the wire: messages, and functions for all that is not
// a message. One that throws does not cost its neighbours. Messages of one turn of the loop are told in one tick, as
// under Node; the end of the channel and of the child have a turn of their own, so that who has awaited a message can
// await them, too.
//
// Messages that come before anybody listens are kept, up to a number of bytes; then the channel is not read. A message
// may have a receipt: `taken()` is called when a listener has had it, and it is passed over once `over` is true.

const EventEmitter = require('node:events');
const native = require('../binding.js');
const { Fd } = require('./fd.js');

// What a handle that nobody has taken yet counts for, in bytes: descriptors are scarcer than memory.
const EARLY_HANDLE = 64 * 1024;
const unheard = () => {};

// A handle is its listener's from here on.
function give(handle) {
  if (handle instanceof EventEmitter) handle.removeListener('error', unheard);
  else if (handle instanceof Fd) native.releaseFd(handle.fd);
}

// What a message that waits counts for.
const weight = ([, handle, size]) => size + (handle === undefined ? 64 : EARLY_HANDLE);

class Inbox {
  // `pause(on)` stops reading, or goes on.
  constructor(target, maxEarlyBytes, pause) {
    this.target = target;
    this.maxEarlyBytes = maxEarlyBytes;
    this.pause = pause;
    this.entries = []; // functions, and messages as [message, handle, size, receipt]
    this.next = 0; // the entry to run next
    this.draining = false;
    this.building = false; // a server that came as a handle is about to listen: what is behind it waits
    this.ahead = 0; // entries at the front that were early, and are older than what is being built
    this.early = []; // messages no listener has taken yet, of the same form
    this.earlyBytes = 0;
    this.drain = () => this.#drain();
  }

  push(entry) {
    this.entries.push(entry);
    if (!this.draining) this.schedule();
  }

  // Runs `entry` in another turn of the loop than what comes before it.
  pushApart(entry) {
    entry.apart = true;
    this.push(entry);
  }

  // Runs `entry` before all that waits.
  pushFirst(entry) {
    this.entries.splice(this.next, 0, entry);
    this.schedule();
  }

  // Runs `entry` behind everything that has been read so far, and apart from it.
  behind(entry) {
    if (this.entries.length === 0 && !this.building) entry();
    else this.pushApart(entry);
  }

  // Runs `entry` now, or behind messages that came before it and are being given out.
  behindEarly(entry) {
    const { ahead } = this;
    this.ahead = 0;
    if (ahead === 0) entry();
    else this.entries.splice(this.next + ahead, 0, entry);
  }

  // Messages that a reader has taken and not given out: the next listener gets them first.
  giveBack(messages) {
    const entries = messages.map((message) => [message, undefined, 0]);
    this.early = [...entries, ...this.early];
    for (const entry of entries) this.earlyBytes += weight(entry);
  }

  // Entries that waited for a listener before the channel was ours; if there is one by now, it waits for them.
  takeOver(entries) {
    this.early = entries;
    for (const entry of entries) this.earlyBytes += weight(entry);
    process.nextTick(() => this.deliverEarly());
  }

  schedule() {
    if (this.draining || this.building || this.entries.length === 0) return;
    this.draining = true;
    process.nextTick(this.drain);
  }

  #drain() {
    const { entries } = this;
    this.next = 0;
    let apart = false;
    try {
      while (this.next < entries.length && !this.building) {
        const entry = entries[this.next];
        apart = entry.apart === true && this.next > 0;
        if (apart) break;
        this.next++;
        if (typeof entry === 'function') entry();
        else this.emit(entry[0], entry[1], entry[2], entry[3]);
      }
    } finally {
      entries.splice(0, this.next);
      this.next = 0;
      this.draining = apart;
      if (apart) setImmediate(this.drain);
      else this.schedule();
    }
  }

  // Gives a message to its listeners, now, or later when there are any.
  emit(message, handle, size, receipt) {
    if (receipt?.over) return;
    const { target } = this;
    if (this.early.length === 0 && target.listenerCount('message') > 0) {
      if (handle !== undefined) give(handle);
      try {
        target.emit('message', message, handle);
      } finally {
        receipt?.taken();
      }
      return;
    }
    // A connection that breaks while nobody has it must not end the process.
    if (handle instanceof EventEmitter) handle.on('error', unheard);
    const entry = [message, handle, size, receipt];
    this.early.push(entry);
    this.earlyBytes += weight(entry);
    if (this.earlyBytes > this.maxEarlyBytes) this.pause(true);
  }

  // The message with this receipt waits no longer.
  forget(receipt) {
    const index = this.early.findIndex((entry) => entry[3] === receipt);
    if (index === -1) return;
    const [entry] = this.early.splice(index, 1);
    this.earlyBytes -= weight(entry);
    if (this.earlyBytes <= this.maxEarlyBytes) this.pause(false);
  }

  // Somebody listens now: early messages are theirs, all of them, as in Node.
  deliverEarly() {
    if (this.early.length === 0 || this.target.listenerCount('message') === 0) return;
    const waiting = this.early;
    this.early = [];
    this.earlyBytes = 0;
    this.entries = waiting.concat(this.entries); // before anything newer
    if (this.building) this.ahead += waiting.length;
    this.pause(false);
    // In this tick, as Node gives them out; a drain that is due already then finds nothing left.
    this.#drain();
  }
}

module.exports = { Inbox, give };
