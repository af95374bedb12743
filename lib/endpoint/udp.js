'use strict';
// `udp://host:port`: each message is a datagram, to one host, to a group, or to all of a network. Nothing is sent twice:
// what the network loses is lost, and counted.
//
// In front of a message stand its codec, its length, who has sent it and its number (docs/wire.md), unless the option
// `udp.plain` says that the other end is no rsipc.

const { randomBytes } = require('node:crypto');
const dgram = require('node:dgram');
const dns = require('node:dns/promises');
const net = require('node:net');
const native = require('../binding.js');
const { node } = require('../errors.js');
const validate = require('../validate.js');
const { LONGEST_TIMER } = require('./settings.js');
const { CODECS, PacketEnd, shaped, fromBytes, idlers } = require('./packets.js');
const { outside } = require('./outside.js');
const { Sequence } = require('./sequence.js');

const HEAD = 16; // magic and version, codec, 0, length (2), sender (4), number (4)
const MAGIC = 0x01_75_73_72; // "rsu", 1
const LONGEST = 65_507; // what UDP over IPv4 can carry
const PLAIN = ['json', 'raw']; // other programs write no 'v8', and nobody shall read it from them
const MOST_SENDERS = 256; // of a group, whose numbers a client keeps

const NOTHING = Object.freeze({});
const countersOf = () => ({ sent: 0, failed: 0, received: 0, lost: 0, reordered: 0, duplicates: 0, truncated: 0, foreign: 0, refused: 0 });
const hosted = (host) => (host.includes(':') ? `[${host}]` : host);
const isGroup = (host) => (net.isIPv4(host) ? /^2(2[4-9]|3\d)\./.test(host) : /^ff/i.test(host));

function shape(endpoint, options, check) {
  const { udp = NOTHING, idleTimeout = 60_000 } = options;
  validate.object(udp, 'options.udp');
  const { plain = false, interface: at, ttl, loopback, broadcast = false, reuseAddr } = udp;
  for (const [name, value] of Object.entries({ plain, loopback, broadcast, reuseAddr })) {
    if (value !== undefined) validate.boolean(value, `options.udp.${name}`);
  }
  if (ttl !== undefined) validate.integer(ttl, 'options.udp.ttl', 1, 255);
  validate.number(idleTimeout, 'options.idleTimeout', 1);
  const settings = shaped(options, check, plain ? { where: endpoint, longest: LONGEST, codecs: PLAIN } : { where: endpoint, longest: LONGEST - HEAD });
  settings.idleTimeout = idleTimeout > LONGEST_TIMER ? Infinity : idleTimeout;
  settings.udp = { plain, interface: at, ttl, loopback, broadcast, reuseAddr };
  return settings;
}

// The address of an endpoint. A name is looked up; the first address counts.
async function addressOf(endpoint) {
  const [, host, port] = native.parseEndpoint(endpoint);
  const family = net.isIP(host.split('%')[0]);
  if (family !== 0) return { host, port: Number(port), family };
  const found = await dns.lookup(host);
  return { host: found.address, port: Number(port), family: found.family };
}

function setUp(socket, { udp }, group) {
  if (udp.broadcast) socket.setBroadcast(true);
  if (!group) return udp.ttl === undefined ? undefined : socket.setTTL(udp.ttl);
  if (udp.interface !== undefined) socket.setMulticastInterface(udp.interface);
  if (udp.ttl !== undefined) socket.setMulticastTTL(udp.ttl);
  if (udp.loopback !== undefined) socket.setMulticastLoopback(udp.loopback);
}

// A socket that is bound or connected, or why there is none.
function ready(socket, event, begin) {
  return new Promise((resolve, reject) => {
    const failed = (error) => {
      socket.close();
      reject(error);
    };
    socket.once('error', failed);
    socket.once(event, () => {
      socket.removeListener('error', failed);
      resolve();
    });
    try {
      begin();
    } catch (error) {
      failed(error);
    }
  });
}

// What a datagram says, or the name of the counter that counts what it is instead.
function parse(datagram, settings) {
  if (settings.udp.plain) return { sender: 0, number: 0, body: datagram };
  if (datagram.length < HEAD || datagram.readUInt32LE(0) !== MAGIC || CODECS[datagram[4] - 1] !== settings.codec) return 'foreign';
  const body = datagram.subarray(HEAD);
  if (body.length !== datagram.readUInt16LE(6)) return body.length < datagram.readUInt16LE(6) ? 'truncated' : 'foreign';
  return { sender: datagram.readUInt32LE(8), number: datagram.readUInt32LE(12), body };
}

// One end: what goes to one address, and what is told of what comes.
class UdpEnd extends PacketEnd {
  counters = countersOf();
  heardAt = performance.now();
  #send;
  #settings;
  #sender = randomBytes(4).readUInt32LE();
  #number = 0;

  // `send(parts, done)` sends a datagram.
  constructor(settings, send) {
    super();
    this.#settings = settings;
    this.#send = send;
  }

  sendBytes(kind, nothing, bytes) {
    const parts = this.#settings.udp.plain ? [bytes] : [this.#head(bytes), bytes];
    const size = bytes.length + HEAD; // an empty one waits, too
    this.queued += size;
    this.#send(parts, (error) => {
      if (error) this.counters.failed++;
      else this.counters.sent++;
      this.left(size);
    });
    return this.queued;
  }

  #head(bytes) {
    const head = Buffer.alloc(HEAD);
    this.#number = (this.#number + 1) >>> 0;
    head.writeUInt32LE(MAGIC, 0);
    head[4] = CODECS.indexOf(this.#settings.codec) + 1;
    head.writeUInt16LE(bytes.length, 6);
    head.writeUInt32LE(this.#sender, 8);
    head.writeUInt32LE(this.#number, 12);
    return head;
  }

  // Tells a message whose number says that it is new.
  hear({ number, body }, sequence) {
    this.heardAt = performance.now();
    if (this.paused) {
      this.counters.refused++; // UDP waits for nobody; the kernel's buffer is shared by all senders
      return;
    }
    let message;
    try {
      if (body.length > this.#settings.maxMessageSize) throw new RangeError('too long');
      message = fromBytes(this.#settings, body);
    } catch {
      this.counters.foreign++;
      return;
    }
    if (this.#settings.udp.plain) this.counters.received++;
    else if (!sequence.take(number)) return;
    this.give(message, body.length);
  }
}

// ---- serving ----

class UdpListener {
  counters = countersOf(); // of what belongs to no connection
  #socket;
  #settings;
  #ends = new Map();
  #waiting = [];
  #found = null;
  #stopIdlers;
  #closed = false;

  static async bind(endpoint, settings, problem) {
    const { host, port, family } = await addressOf(endpoint);
    const { udp } = settings;
    // Of a group several processes of a host can be members.
    const socket = dgram.createSocket({ type: family === 6 ? 'udp6' : 'udp4', reuseAddr: udp.reuseAddr ?? isGroup(host) });
    await ready(socket, 'listening', () => socket.bind({ port, address: host }));
    const listener = UdpListener.#over(socket, host, settings, problem);
    listener.address = `udp://${hosted(host)}:${socket.address().port}`;
    return listener;
  }

  // With a socket that this process was started with, whose descriptor is kept by the native part.
  static async adopt(endpoint, { fd, address }, settings, problem) {
    const socket = dgram.createSocket(net.isIPv6(address) ? 'udp6' : 'udp4');
    await ready(socket, 'listening', () => {
      native.releaseFd(fd);
      socket.bind({ fd, exclusive: true }); // also in a worker of a cluster: nobody else has it
    });
    const listener = UdpListener.#over(socket, address, settings, problem);
    listener.address = endpoint;
    return listener;
  }

  static #over(socket, host, settings, problem) {
    const listener = new UdpListener();
    const group = isGroup(host);
    try {
      setUp(socket, settings, group);
      if (group) socket.addMembership(host, settings.udp.interface);
    } catch (error) {
      socket.close();
      throw error;
    }
    socket.on('error', problem);
    listener.#socket = socket;
    listener.#settings = settings;
    return listener;
  }

  open(found) {
    this.#found = found;
    this.#socket.on('message', (datagram, from) => this.#hear(datagram, from));
    this.#stopIdlers = idlers(() => this.#ends.values(), this.#settings.idleTimeout);
  }

  accept() {
    return this.#waiting.shift() ?? null;
  }

  pause() {
    return 0;
  }

  resume() {}

  #hear(datagram, { address, port }) {
    // From port 0 only who forges comes: nobody could answer there.
    const parsed = port === 0 ? 'foreign' : parse(datagram, this.#settings);
    if (typeof parsed === 'string') {
      this.counters[parsed]++;
      return;
    }
    const key = `${hosted(address)}:${port} ${parsed.sender}`;
    let end = this.#ends.get(key);
    if (end === undefined) {
      if (this.#closed || this.#ends.size >= this.#settings.maxConnections) {
        this.counters.refused++;
        return;
      }
      end = new UdpEnd(this.#settings, (parts, done) => this.#socket.send(parts, port, address, done));
      end.peer = { address, port };
      end.sequence = new Sequence(end.counters);
      const { close } = end;
      end.close = () => {
        close.call(end);
        this.#forget(key, end);
      };
      this.#ends.set(key, end);
      this.#waiting.push(end);
      outside(() => this.#found());
    }
    end.hear(parsed, end.sequence);
  }

  #forget(key, end) {
    if (this.#ends.get(key) === end) this.#ends.delete(key);
    if (this.#closed && this.#ends.size === 0) this.#end();
  }

  #end() {
    this.#stopIdlers?.();
    this.#socket?.close();
    this.#socket = null;
  }

  setRef(on) {
    if (on) this.#socket?.ref();
    else this.#socket?.unref();
  }

  // The socket stays until its connections have sent what they were given.
  close() {
    this.#closed = true;
    if (this.#ends.size === 0) this.#end();
  }
}

// ---- connecting ----

class UdpClient extends UdpEnd {
  #socket;
  #settings;
  #sequences = new Map(); // by sender: a group has many

  static async open(endpoint, settings) {
    const { host, port, family } = await addressOf(endpoint);
    if (port === 0) throw node.invalidValue('endpoint', endpoint, 'must have a port to send to');
    const group = isGroup(host);
    const socket = dgram.createSocket(family === 6 ? 'udp6' : 'udp4');
    const one = !group && !settings.udp.broadcast;
    // Only who is connected is told that nobody listens, and hears nobody else.
    if (one) await ready(socket, 'connect', () => socket.connect(port, host));
    else await ready(socket, 'listening', () => socket.bind());
    try {
      setUp(socket, settings, group);
    } catch (error) {
      socket.close();
      throw error;
    }
    const end = new UdpClient(settings, one ? (parts, done) => socket.send(parts, done) : (parts, done) => socket.send(parts, port, host, done));
    end.#socket = socket;
    end.#settings = settings;
    end.peer = { address: host, port };
    socket.on('error', () => end.counters.failed++);
    socket.on('message', (datagram) => end.#take(datagram));
    return end;
  }

  #take(datagram) {
    const parsed = parse(datagram, this.#settings);
    if (typeof parsed === 'string') {
      this.counters[parsed]++;
      return;
    }
    let sequence = this.#sequences.get(parsed.sender);
    if (sequence === undefined) {
      if (this.#sequences.size >= MOST_SENDERS) this.#sequences.delete(this.#sequences.keys().next().value);
      sequence = new Sequence(this.counters);
      this.#sequences.set(parsed.sender, sequence);
    }
    this.hear(parsed, sequence);
  }

  setRef(on) {
    if (this.closed) return;
    if (on) this.#socket.ref();
    else this.#socket.unref();
  }

  close() {
    if (this.closed) return;
    super.close();
    this.#socket.close();
  }
}

const bind = (endpoint, settings, problem) => UdpListener.bind(endpoint, settings, problem);
const adopt = (endpoint, socket, settings, problem) => UdpListener.adopt(endpoint, socket, settings, problem);
const dialer = (endpoint, settings) => ({ endpoint, open: () => UdpClient.open(endpoint, settings) });

module.exports = { shape, bind, adopt, dialer };
