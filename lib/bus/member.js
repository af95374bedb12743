'use strict';
// A connection as the broker has it, with its subscriptions.

const { encode, KINDS } = require('./wire.js');

const nothing = () => {};

class Member {
  #connection;
  #room;
  #full = false;
  #touched = new Set(); // subscriptions that have something to send
  #taken = 0; // of its publications, and what it was told of that
  #told = 0;
  #stamps = []; // of those since then that are retained: number, stamp
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

  acknowledge() {
    if (this.#taken === this.#told) return;
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
