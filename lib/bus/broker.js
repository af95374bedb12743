'use strict';
// The one member that the others are connected to: who has bound the endpoint first, also to itself.
//
// A publication is acknowledged when it has been handed to the kernel for everybody who keeps up, so it outlives the
// broker. What was not acknowledged is published again to the next broker, and subscriptions leave out what they have
// had. They come back one after the other: what is published in the meantime is kept for them.

const { Member } = require('./member.js');
const { Retained } = require('./retained.js');
const { Waiting } = require('./waiting.js');
const { isTopic, isPattern } = require('./topic.js');
const { POLICIES, MOST_SUBSCRIPTIONS } = require('./settings.js');
const { VERSION, KINDS, encode, decode } = require('./wire.js');

const SETTLING = 2_000; // ms in which subscriptions of the last broker come back and miss nothing
const MOST_HISTORY = 64 * 1024 * 1024; // bytes; with more than that, publishers wait for the end of those
const ENTRY = 256; // bytes that a short message takes beside its own
const MOST_PUBLISHERS = 16_384; // of whom it is known how far they are
const MOST_MATCHES = 4_096;
const ROOM = 256 * 1024; // bytes that may wait in a connection

class Broker {
  #members = new Set();
  #seen = new Map(); // the last number of each publisher
  #matches = new Map(); // topics with their subscriptions
  #retained;
  #stamp = 0;
  #touched = new Set();
  #history = [];
  #historyBytes = 0;
  #held = []; // publications that the history had no room for
  #settling;
  #closed = false;

  constructor(server, settings) {
    this.#retained = new Retained(settings.maxRetained);
    this.#settling = setTimeout(() => this.#settled(), SETTLING).unref();
    server.on('connection', (connection) => this.#welcome(connection));
  }

  // Takes nothing more: it is for the next one.
  close() {
    this.#closed = true;
    clearTimeout(this.#settling);
  }

  get closed() {
    return this.#closed;
  }

  #welcome(connection) {
    const member = new Member(this, connection, ROOM);
    this.#members.add(member);
    connection.on('message', (bytes) => this.#receive(member, bytes));
    connection.on('close', () => {
      this.#members.delete(member);
      this.#touched.delete(member);
      member.release();
      this.#held = this.#held.filter(([whose]) => whose !== member);
      this.forgetMatches();
    });
  }

  #receive(member, bytes) {
    if (this.#closed) return;
    const frame = decode(bytes);
    if (frame === undefined || (member.id === null) !== (frame.kind === KINDS.HELLO) || !this.#act(member, frame)) member.expel();
  }

  // Whether it is what a bus says.
  #act(member, { kind, head, body }) {
    switch (kind) {
      case KINDS.HELLO:
        if (head.version !== VERSION || typeof head.id !== 'string' || head.id.length > 64) return false;
        member.id = head.id;
        member.say(encode(KINDS.WELCOME, { version: VERSION }));
        return true;
      case KINDS.SUBSCRIBE:
        return this.#subscribe(member, head);
      case KINDS.UNSUBSCRIBE: {
        const subscription = member.subscriptions.get(head.ref);
        if (subscription !== undefined) member.drop(subscription);
        return true;
      }
      case KINDS.PUBLISH:
        if (!isTopic(head.topic) || !Number.isSafeInteger(head.seq)) return false;
        if (this.#held.length > 0 || (this.#history !== null && this.#historyBytes > MOST_HISTORY)) {
          this.#held.push([member, head, Buffer.from(body)]);
          member.pause(true);
        } else {
          this.#publish(member, head, body);
        }
        return true;
      case KINDS.KEEP:
        return this.#keep(head, body);
      default:
        return false;
    }
  }

  // ---- subscriptions ----

  #subscribe(member, head) {
    const { ref, pattern, policy, max } = head;
    if (!isPattern(pattern) || !POLICIES.includes(policy) || !Number.isSafeInteger(max) || max < 1 || !Number.isInteger(ref) || ref < 1 || ref > 0xffffffff) return false;
    if (member.subscriptions.has(ref) || member.subscriptions.size >= MOST_SUBSCRIPTIONS) return false;
    const subscription = new Waiting(member, head);
    member.subscriptions.set(ref, subscription);
    this.forgetMatches();
    member.say(encode(KINDS.SUBSCRIBED, { ref }));
    if (head.again === true && this.#history !== null) {
      for (const { topic, frame } of this.#history) if (subscription.matches(topic)) subscription.owe(frame);
    }
    if (subscription.retained) {
      for (const entry of this.#retained) if (entry.keep === 1 && subscription.matches(entry.topic)) subscription.owe(replay(entry));
    }
    return true;
  }

  forgetMatches() {
    this.#matches.clear();
  }

  #matching(topic) {
    let found = this.#matches.get(topic);
    if (found === undefined) {
      found = [];
      for (const member of this.#members) {
        for (const subscription of member.subscriptions.values()) if (subscription.matches(topic)) found.push(subscription);
      }
      if (this.#matches.size >= MOST_MATCHES) this.#matches.clear();
      this.#matches.set(topic, found);
    }
    return found;
  }

  // ---- publications ----

  #publish(member, head, body) {
    const { topic, seq } = head;
    const from = member.id;
    if (seq <= (this.#seen.get(from) ?? 0)) { // again, on another connection
      member.taken(seq);
      return;
    }
    this.#seen.set(from, seq);
    if (this.#seen.size > MOST_PUBLISHERS) this.#seen.delete(this.#seen.keys().next().value);
    const told = { topic, from, seq };
    if (head.keep === 1 || head.keep === 2) {
      // Later than those of the broker before, as long as the clock goes forward.
      this.#stamp = Math.max(this.#stamp + 1, Date.now() * 1_000);
      told.keep = head.keep;
      told.stamp = this.#stamp;
      this.#retained.put({ ...told, body });
    }
    const frame = encode(KINDS.MESSAGE, told, body);
    if (this.#history !== null) {
      this.#history.push({ topic, frame });
      this.#historyBytes += frame.length + ENTRY;
    }
    for (const subscription of this.#matching(topic)) subscription.push(frame);
    member.taken(seq, told.stamp);
  }

  // A value that was retained by the last broker.
  #keep({ topic, from, seq, stamp, keep }, body) {
    if (!isTopic(topic) || typeof from !== 'string' || !Number.isSafeInteger(seq) || !Number.isSafeInteger(stamp) || (keep !== 1 && keep !== 2)) return false;
    this.#stamp = Math.max(this.#stamp, stamp);
    const entry = { topic, from, seq, stamp, keep, body };
    if (this.#retained.put(entry) && keep === 1) {
      // For who has asked for it before it was here.
      for (const subscription of this.#matching(topic)) if (subscription.retained) subscription.push(replay(entry));
    }
    return true;
  }

  #settled() {
    this.#history = null;
    const held = this.#held;
    this.#held = [];
    for (const [member, head, body] of held) this.#publish(member, head, body);
    for (const [member] of held) member.pause(false);
  }

  // ---- writing ----

  // Has something to send when what this turn of the loop has brought is read; acknowledgements follow when the kernel
  // has that for all who keep up.
  touch(member) {
    if (this.#touched.size === 0) {
      setImmediate(() => {
        const all = [...this.#touched];
        for (const touched of all) touched.flush();
        this.#touched.clear();
        // The connections write at the end of this tick, before this.
        process.nextTick(() => {
          const late = all.filter((touched) => touched.isLate());
          for (const touched of all) {
            touched.waitFor(late);
            touched.acknowledge();
          }
        });
      });
    }
    this.#touched.add(member);
  }
}

const replay = ({ topic, from, seq, keep, stamp, body }) => encode(KINDS.MESSAGE, { topic, from, seq, keep, stamp, replay: true }, body);

module.exports = { Broker };
