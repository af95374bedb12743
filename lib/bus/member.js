'use strict';
// A connection as the broker has it, with its subscriptions.

const { linkOf } = require('../endpoint/connection.js');
const { encode, KINDS } = require('./wire.js');

const PATIENCE = 1_000; // ms in which the kernel has what was sent, or publishers wait for it no longer

const nothing = () => {};

class Member {
  #connection;
  #room;
  #full = false;
  #touched = new Set(); // subscriptions that have something to send
  #taken = 0; // of its publications, and what it was told of that
  #told = 0;
  #stamps = []; // of those since then that are retained: number, stamp
  #late = null; // the timer, while others wait until the kernel has what this one is sent
  #behind = false; // it has not taken that in time, and they wait no longer until it has
  #waiting = new Set(); // publishers that wait for this one
  #waitsFor = new Set();
  id = null; // once it has said hello
  subscriptions = new Map();

  constructor(broker, connection, room) {
    this.broker = broker;
    this.#connection = connection;
    this.#room = room;
  }

  say(frame) {
    if (this.#connection.connected) this.#connection.send(frame).catch(nothing);
  }

  hasRoom() {
    if (this.#full) return false;
    if (this.#connection.queued <= this.#room) return true;
    this.#full = true;
    this.#connection.ready().then(() => {
      this.#full = false;
      this.flush();
    }, nothing);
    return false;
  }

  touch(subscription) {
    this.#touched.add(subscription);
    this.broker.touch(this);
  }

  flush() {
    for (const subscription of this.#touched) {
      if (subscription.send()) this.#touched.delete(subscription);
      if (this.#full) return;
    }
  }

  drop(subscription) {
    this.subscriptions.delete(subscription.ref);
    this.#touched.delete(subscription);
    this.broker.forgetMatches();
  }

  taken(seq, stamp) {
    this.#taken = seq;
    if (stamp !== undefined) this.#stamps.push([seq, stamp]);
    this.broker.touch(this);
  }

  // Whether messages for it are not all with the kernel, which delivers them whatever becomes of this process.
  get #unsent() {
    return this.#connection.queued > 0 || this.#touched.size > 0;
  }

  // Whether publishers have to wait for it.
  isLate() {
    if (!this.#unsent) this.#caughtUp();
    else if (this.#full) this.#fallBehind();
    else if (!this.#behind && this.#late === null) {
      this.#late = setTimeout(() => this.#fallBehind(), PATIENCE).unref();
      linkOf(this.#connection).onEmpty = () => this.#unsent || this.#caughtUp();
    }
    return this.#late !== null;
  }

  #caughtUp() {
    linkOf(this.#connection).onEmpty = null;
    this.#behind = false;
    this.release();
  }

  #fallBehind() {
    this.#behind = true;
    this.release();
  }

  // Nobody waits for it any more.
  release() {
    clearTimeout(this.#late);
    this.#late = null;
    for (const member of this.#waiting) {
      member.#waitsFor.delete(this);
      member.acknowledge();
    }
    this.#waiting.clear();
  }

  // What it has published is acknowledged when the kernel has it for all of these, too.
  waitFor(members) {
    if (this.#taken === this.#told) return;
    for (const member of members) {
      member.#waiting.add(this);
      this.#waitsFor.add(member);
    }
  }

  acknowledge() {
    if (this.#taken === this.#told || this.#waitsFor.size > 0 || this.broker.closed) return;
    this.#told = this.#taken;
    const stamps = this.#stamps;
    this.#stamps = [];
    this.say(encode(KINDS.TAKEN, { seq: this.#taken, stamps: stamps.length > 0 ? stamps : undefined }));
  }

  pause(on) {
    if (on) this.#connection.pause();
    else this.#connection.resume();
  }

  // It has said what no bus says.
  expel() {
    this.#connection.destroy();
  }
}

module.exports = { Member };
