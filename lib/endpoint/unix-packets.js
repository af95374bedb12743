'use strict';
// `unix+dgram:` and `unix+seqpacket:`: each message is a packet of a UNIX socket, with nothing in front of it, so that
// programs which know nothing of rsipc are at the other end as well.
//
// Nothing is lost on the way: when a receiver is full the sender waits. A datagram socket is one for all who send to it,
// so a connection that is paused makes them all wait, as long as its own peer takes what it is sent.

const native = require('../binding.js');
const { node } = require('../errors.js');
const validate = require('../validate.js');
const { LONGEST_TIMER, LIBUV } = require('./settings.js');
const { constants: { errno } } = require('node:os');
const { PacketEnd, shaped, messagesOf, idlers } = require('./packets.js');
const { outside } = require('./outside.js');

const [PACKETS, ROOM] = [1, 2]; // bits of what a native turn has found
const [READABLE, DISCONNECT] = [1, 4];
const LONGEST_PAUSE = 50; // ms between attempts to answer who is full
const PATIENCE = 25; // attempts, about a second, in which everybody waits for one who takes nothing

// Some are the native socket's.
function countersOf(getters = {}) {
  const counters = { sent: 0, failed: 0, received: 0, lost: 0, reordered: 0, duplicates: 0, truncated: 0, foreign: 0, refused: 0 };
  for (const [name, get] of Object.entries(getters)) Object.defineProperty(counters, name, { enumerable: true, get });
  return counters;
}

// Errors of one datagram; after any other there is nobody to send to.
const PASSING = new Set([-errno.EMSGSIZE, -errno.ENOBUFS, -errno.ENOMEM]);
// Errors of a connection that has ended.
const GONE = new Set([-errno.EPIPE, -errno.ECONNRESET, -errno.ENOTCONN]);

function shape(datagrams, endpoint, options, check) {
  const { idleTimeout = 60_000 } = options;
  validate.number(idleTimeout, 'options.idleTimeout', 1);
  if (datagrams && options.jsonRpc) throw node.invalidValue('options.jsonRpc', true, 'needs a connection; datagrams have none');
  const settings = shaped(options, check, { where: endpoint, longest: native.longestPacket(), codecs: ['json', 'v8', 'raw', 'lines'] });
  settings.idleTimeout = idleTimeout > LONGEST_TIMER ? Infinity : idleTimeout;
  return settings;
}

// What waits for room at one receiver. `send(bytes)` answers as the native socket does.
class Outbox {
  #entries = [];
  #send;
  #await;
  failures = 0; // attempts in a row for which there was no room

  constructor(send, awaitRoom) {
    this.#send = send;
    this.#await = awaitRoom;
  }

  // 0 when it has gone, 1 when it waits: then `done(error)` is called; or a negative error number.
  push(bytes, done) {
    if (this.#entries.length === 0) {
      const sent = this.#send(bytes);
      if (sent <= 0) return sent;
      this.#await();
    }
    this.#entries.push({ bytes, done });
    return 1;
  }

  // There may be room.
  write() {
    this.failures++;
    while (this.#entries.length > 0) {
      const sent = this.#send(this.#entries[0].bytes);
      if (sent === 1) {
        this.#await();
        return;
      }
      this.failures = 0;
      this.#entries.shift().done(sent);
    }
    this.failures = 0;
  }

  clear() {
    this.#entries = [];
  }
}

// Tells what a native socket receives one by one, as long as it is not held. What a listener throws is thrown; the next
// packets follow in the next turn.
class Inbox {
  #native;
  #hear;
  #room;
  #waiting = [];
  #held = false;
  #closed = false;

  constructor(socket, hear, room) {
    this.#native = socket;
    this.#hear = hear;
    this.#room = room;
  }

  open() {
    this.#native.open((found) => this.#found(found), (events) => this.#found(this.#native.turn(events)), LIBUV);
  }

  // Looks what there is without being told.
  look() {
    if (!this.#closed) this.#found(this.#native.turn(READABLE | DISCONNECT));
  }

  #found(found) {
    if (found & ROOM) this.#room();
    if (!(found & PACKETS) || this.#closed) return;
    const { packets, tooLong, ended, error } = this.#native.take();
    this.#waiting.push(...packets);
    if (tooLong !== undefined || ended || error !== undefined) this.#waiting.push({ tooLong, ended, error });
    this.#tell();
  }

  #tell() {
    try {
      while (this.#waiting.length > 0 && !this.#held && !this.#closed) this.#hear(this.#waiting.shift());
    } finally {
      if (this.#waiting.length > 0 && !this.#held && !this.#closed) setImmediate(() => this.#tell());
    }
  }

  // This one has to wait, and with it all that come behind.
  putBack(packet) {
    this.#waiting.unshift(packet);
    this.hold(true);
  }

  hold(on) {
    if (this.#held === on || this.#closed) return;
    this.#held = on;
    this.#native.pause(on);
    if (!on) setImmediate(() => this.#tell());
  }

  close() {
    this.#closed = true;
    this.#waiting = [];
  }
}

// One end: what goes to one address, or over one connection.
class UnixEnd extends PacketEnd {
  settings;
  outbox;

  constructor(settings, send, awaitRoom) {
    super();
    this.settings = settings;
    this.outbox = new Outbox(send, awaitRoom);
  }

  sendBytes(kind, nothing, bytes) {
    const size = bytes.length + 64; // an empty one waits, too
    const sent = this.outbox.push(bytes, (error) => {
      this.sent(error);
      this.left(size);
    });
    if (sent === 1) this.queued += size;
    else this.sent(sent);
    return this.queued;
  }

  // Lines that were gathered; one each is a message.
  send(kind, text) {
    for (const line of text.split('\n')) if (line !== '') this.sendBytes(kind, null, Buffer.from(`${line}\n`));
    return this.queued;
  }

  // Tells what a packet held, in order. What a listener throws is thrown, and costs no other message.
  tell(messages, size) {
    let next = 0;
    try {
      while (next < messages.length) this.give(messages[next++], size);
    } finally {
      if (next < messages.length && !this.closed) setImmediate(() => this.tell(messages.slice(next), size));
    }
  }

  close() {
    super.close();
    this.outbox.clear();
  }
}

// An end that has a socket of its own, and nobody else there.
const withSocket = (Base) => class extends Base {
  #native;
  #inbox;

  constructor(settings, socket, ...rest) {
    super(settings, (bytes) => socket.send(bytes), () => socket.wait(true), ...rest);
    this.#native = socket;
    this.#inbox = new Inbox(socket, (packet) => this.arrived(packet), () => this.outbox.write());
  }

  // Looks what there is without being told.
  look() {
    this.#inbox.look();
  }

  open(found) {
    super.open(found);
    this.#inbox.open();
  }

  // Sends no more, which tells the other end of a connection.
  endSocket() {
    return this.#native.end();
  }

  pause(on) {
    super.pause(on);
    if (!this.closed) this.#inbox.hold(on);
  }

  setRef(on) {
    if (!this.closed) this.#native.setRef(on);
  }

  close() {
    if (this.closed) return;
    super.close();
    this.#inbox.close();
    this.#native.close();
  }
};

// ---- connections: unix+seqpacket: ----

class RecordEnd extends withSocket(UnixEnd) {
  #ended = false; // that the other end sends no more has been told

  constructor(socket, settings) {
    super(settings, socket);
    this.peer = socket.peer;
  }

  arrived({ bytes, tooLong, ended, error }) {
    if (bytes !== undefined) this.#take(bytes);
    else if (tooLong !== undefined) this.problem('ERR_RSIPC_MESSAGE_TOO_LARGE', `a message of ${tooLong} bytes is longer than the ${this.settings.maxMessageSize} allowed`);
    else if (error !== undefined) this.failed(error);
    else if (ended) {
      this.#ended = true;
      this.over();
    }
  }

  #take(bytes) {
    let messages;
    try {
      messages = messagesOf(this.settings, bytes);
    } catch ({ code, message }) {
      if (code?.startsWith('ERR_RSIPC_')) this.problem(code, message);
      else this.problem('ERR_RSIPC_MALFORMED_FRAME', `a message of ${bytes.length} bytes is not what codec '${this.settings.codec}' writes`);
      return;
    }
    this.tell(messages, bytes.length);
  }

  end() {
    return this.endSocket();
  }

  sent(error) {
    if (error === 0) return;
    this.outbox.clear();
    // What the other end had sent before it went is told first, then that.
    setImmediate(() => (GONE.has(error) && !this.#ended ? this.look() : this.failed(error)));
  }
}

class RecordListener {
  #native;
  #settings;

  constructor(endpoint, settings) {
    this.#native = native.Listener.bindPackets(endpoint, settings.listen);
    this.#settings = settings;
    this.address = this.#native.address;
  }

  open(found, ready, libuv) {
    this.#native.open(found, ready, libuv);
  }

  accept() {
    const socket = this.#native.acceptPackets(this.#settings.maxMessageSize);
    return socket === null ? null : new RecordEnd(socket, this.#settings);
  }

  pause() {
    return this.#native.pause();
  }

  resume() {
    this.#native.resume();
  }

  setRef(on) {
    this.#native.setRef(on);
  }

  close() {
    this.#native.close();
  }
}

// ---- datagrams: unix+dgram: ----

class DatagramEnd extends UnixEnd {
  heardAt = performance.now();
  counters;
  mute = false; // it has no name, so nobody can answer

  constructor(settings, send, awaitRoom, counters) {
    super(settings, send, awaitRoom);
    this.counters = counters;
  }

  hear(bytes) {
    this.heardAt = performance.now();
    let messages;
    try {
      messages = messagesOf(this.settings, bytes);
    } catch {
      this.counters.foreign++;
      return;
    }
    this.counters.received++;
    this.tell(messages, bytes.length);
  }

  sendBytes(kind, nothing, bytes) {
    if (!this.mute) return super.sendBytes(kind, nothing, bytes);
    this.counters.failed++;
    return this.queued;
  }

  sent(error) {
    this.counters[error === 0 ? 'sent' : 'failed']++;
    if (error === 0 || PASSING.has(error)) return;
    this.outbox.clear();
    setImmediate(() => this.failed(error));
  }
}

// An address as it is shown: an abstract name behind an @.
const shown = (from) => {
  const name = Buffer.from(from, 'latin1').toString();
  return name.startsWith('\0') ? `@${name.slice(1)}` : name;
};

// Whether an address says the same here as where it comes from.
const isAbsolute = (from) => from !== undefined && (from.startsWith('\0') || from.startsWith('/'));

class DatagramListener {
  #native;
  #settings;
  #inbox;
  #ends = new Map();
  #waiting = [];
  #found = null;
  #stopIdlers;
  #closed = false;
  #beyond = 0; // datagrams of senders beyond maxConnections

  constructor(endpoint, settings) {
    const socket = native.Packets.bind(endpoint, settings.listen, settings.maxMessageSize);
    this.#native = socket;
    this.#settings = settings;
    this.#inbox = new Inbox(socket, (datagram) => this.#hear(datagram), () => {});
    this.address = endpoint;
    this.counters = countersOf({ truncated: () => socket.truncated, refused: () => this.#beyond + socket.refused });
  }

  open(found) {
    this.#found = found;
    this.#inbox.open();
    this.#stopIdlers = idlers(() => this.#ends.values(), this.#settings.idleTimeout);
  }

  accept() {
    return this.#waiting.shift() ?? null;
  }

  pause() {
    return 0;
  }

  resume() {}

  #hear(datagram) {
    const { bytes, from, sender } = datagram;
    if (bytes === undefined) return; // one that was too long is counted
    const name = isAbsolute(from) ? from : '';
    const key = `${sender?.pid ?? 0} ${sender?.uid ?? 0} ${name}`;
    const end = this.#ends.get(key) ?? this.#meet(key, name, sender);
    if (end === null) {
      this.#beyond++;
    } else if (!end.paused) {
      end.hear(bytes);
    } else if (end.outbox.failures > PATIENCE) {
      end.counters.refused++; // it does not take what it is sent, and nobody else shall wait for it
    } else {
      this.#inbox.putBack(datagram);
    }
  }

  // The connection of a sender that is new.
  #meet(key, name, sender) {
    if (this.#closed || this.#ends.size >= this.#settings.maxConnections) return null;
    let timer = null;
    // Nothing tells when another's socket has room.
    const later = () => {
      timer ??= setTimeout(() => {
        timer = null;
        end.outbox.write();
        if (end.outbox.failures > PATIENCE) this.#inbox.hold(false);
      }, Math.min(2 ** end.outbox.failures, LONGEST_PAUSE));
    };
    const end = new DatagramEnd(this.#settings, (bytes) => this.#native.send(bytes, name), later, countersOf());
    end.peer = { ...sender, ...(name !== '' && { address: shown(name) }) };
    end.mute = name === '';
    const { close, pause: hold } = end;
    end.pause = (on) => {
      hold.call(end, on);
      if (!on) this.#inbox.hold(false);
    };
    end.close = () => {
      if (end.closed) return;
      clearTimeout(timer);
      close.call(end);
      this.#inbox.hold(false);
      this.#forget(key);
    };
    this.#ends.set(key, end);
    this.#waiting.push(end);
    outside(() => this.#found());
    return end;
  }

  #forget(key) {
    this.#ends.delete(key);
    if (this.#closed && this.#ends.size === 0) this.#end();
  }

  #end() {
    this.#stopIdlers?.();
    this.#inbox.close();
    this.#native.close();
  }

  setRef(on) {
    this.#native.setRef(on);
  }

  // The socket stays until its connections have sent what they were given.
  close() {
    this.#closed = true;
    if (this.#ends.size === 0) this.#end();
  }
}

class DatagramClient extends withSocket(DatagramEnd) {
  constructor(endpoint, settings) {
    const socket = native.Packets.connect(endpoint, settings.allow, settings.maxMessageSize);
    super(settings, socket, countersOf({ truncated: () => socket.truncated, refused: () => socket.refused }));
    this.peer = { address: shown(Buffer.from(endpoint.slice('unix+dgram:'.length)).toString('latin1')) };
  }

  arrived({ bytes, error }) {
    if (bytes !== undefined) this.hear(bytes);
    else if (error !== undefined) this.failed(error);
  }
}

const datagrams = {
  shape: (...args) => shape(true, ...args),
  bind: async (endpoint, settings) => new DatagramListener(endpoint, settings),
  dialer: (endpoint, settings) => ({ endpoint, open: async () => new DatagramClient(endpoint, settings) }),
};

const records = {
  shape: (...args) => shape(false, ...args),
  bind: async (endpoint, settings) => new RecordListener(endpoint, settings),
  dialer: (endpoint, settings) => ({
    endpoint,
    open: async () => new RecordEnd(native.Packets.connect(endpoint, settings.allow, settings.maxMessageSize), settings),
  }),
};

module.exports = { datagrams, records };
