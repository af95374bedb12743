'use strict';
// What workers listen on, in the primary. Connections of an `Accepting` are accepted in Rust and handed to one worker
// each; a `Shared` handle is sent to every worker, which then accepts or receives for itself.
//
// Both are bound by Node's own functions, so addresses, permissions and errors are those of a server in this process.

const path = require('node:path');
const net = require('node:net');
const dgram = require('node:dgram');
const os = require('node:os');
const { serializeWhole } = require('../fork/serialization.js');

const IPV6_ONLY = 1; // libuv's UV_TCP_IPV6ONLY
const READABLE = 1; // libuv's UV_READABLE
const WRITABLE = 2; // libuv's UV_WRITABLE
const BACKLOG = 511;
const { EINVAL } = os.constants.errno;

// A path that is too long for the system may have a form that is not.
function shortest(address, port, addressType) {
  if (port >= 0 || addressType !== -1 || typeof address !== 'string') return address;
  if (process.platform === 'win32' || address[0] === '\0') return address;
  const relative = path.relative(process.cwd(), address);
  return relative.length < address.length ? relative : address;
}

// The message that brings a connection, cut where its number belongs.
function announcements(key, sequence) {
  const message = { cmd: 'NODE_CLUSTER', act: 'newconn', key, seq: sequence };
  const envelope = { cmd: 'NODE_HANDLE', type: 'net.Native', msg: message };
  const number = Buffer.alloc(8);
  number.writeDoubleLE(sequence);
  return [[Buffer.from(JSON.stringify(envelope)), Buffer.from(`${sequence}`)], [serializeWhole(envelope), number]].map(([whole, part]) => {
    const place = whole.lastIndexOf(part);
    return [whole.subarray(0, place), whole.subarray(place + part.length)];
  });
}

class Accepting {
  constructor(primary, key, query) {
    this.primary = primary;
    this.key = key;
    this.backlog = query.backlog || BACKLOG;
    this.workers = new Set();
    this.waiting = []; // until it is known whether it listens
    this.settled = false;
    this.errno = 0;
    this.fields = {};
    this.handle = null; // of a path or a descriptor: closing it does more than closing the socket
    this.number = -1;
    const { address, port, fd, flags } = query;
    if (port >= 0 && !(fd >= 0)) this.#listenOnPort({ port, host: address, ipv6Only: Boolean(flags & IPV6_ONLY), backlog: this.backlog });
    else this.#listenOn(query);
  }

  // As a server does, on Node's path for servers, and before the loop can accept anything.
  #listenOnPort(options) {
    const server = net.createServer();
    server.once('error', (error) => this.#settle(error.errno));
    server.once('listening', () => {
      const { _handle: handle } = server;
      handle.getsockname(this.fields.sockname = {});
      this.#settle(this.#accept(handle, null));
      server.close();
    });
    server.listen(options);
  }

  // libuv does not listen here: it would accept as well.
  #listenOn({ address, port, addressType, fd, readableAll, writableAll }) {
    const handle = net._createServerHandle(address, port, addressType, fd);
    if (typeof handle === 'number') {
      this.#settle(handle);
      return;
    }
    this.handle = handle;
    const mode = (readableAll ? READABLE : 0) | (writableAll ? WRITABLE : 0);
    let errno = mode === 0 ? 0 : handle.fchmod(mode);
    if (errno === 0) errno = this.#accept(handle, this.backlog);
    if (errno === 0) handle.getsockname?.(this.fields.sockname = {});
    else handle.close();
    this.#settle(errno);
  }

  #accept(handle, backlog) {
    this.number = this.primary.listen(handle.fd, backlog, ...announcements(this.key, this.primary.firstSequence));
    return Math.min(0, this.number);
  }

  #settle(errno) {
    this.errno = errno;
    this.settled = true;
    for (const told of this.waiting.splice(0)) told();
  }

  has(worker) {
    return this.workers.has(worker);
  }

  // `reply(errno, fields, handle)` is called once.
  add(worker, reply) {
    this.workers.add(worker);
    const tell = () => {
      if (this.errno !== 0) {
        reply(this.errno, null, null);
      } else if (this.workers.has(worker)) {
        reply(null, this.fields, null);
        this.primary.add(this.number, worker.id);
      }
    };
    if (this.settled) tell();
    else this.waiting.push(tell);
  }

  // Answers whether that was the last worker; then nobody listens any more.
  remove(worker) {
    if (!this.workers.delete(worker)) return false;
    if (this.number >= 0) this.primary.remove(this.number, worker.id);
    if (this.workers.size > 0) return false;
    if (this.settled) this.#close();
    else this.waiting.push(() => this.#close());
    return true;
  }

  #close() {
    if (this.number >= 0) this.primary.close(this.number);
    if (this.errno === 0) this.handle?.close();
  }
}

class Shared {
  constructor({ address, port, addressType, fd, flags }) {
    this.workers = new Set();
    this.errno = 0;
    this.handle = null;
    const handle = addressType === 'udp4' || addressType === 'udp6'
      ? dgram._createSocketHandle(address, port, addressType, fd, flags)
      : net._createServerHandle(address, port, addressType, fd, flags);
    if (typeof handle === 'number') this.errno = handle;
    else this.handle = handle;
  }

  has(worker) {
    return this.workers.has(worker);
  }

  add(worker, reply) {
    if (this.errno === 0) this.workers.add(worker);
    reply(this.errno, null, this.handle);
  }

  remove(worker) {
    if (!this.workers.delete(worker) || this.workers.size > 0) return false;
    this.handle.close();
    return true;
  }
}

// What the `queryServer` message of a worker asks for.
function listenerFor(primary, key, query, accepts) {
  const isUdp = query.addressType === 'udp4' || query.addressType === 'udp6';
  const asked = { ...query, address: shortest(query.address, query.port, query.addressType) };
  try {
    return accepts && !isUdp ? new Accepting(primary, key, asked) : new Shared(asked);
  } catch {
    // Fields that no socket has.
    return { errno: -EINVAL, has: () => false, add: (worker, reply) => reply(-EINVAL, null, null), remove: () => false };
  }
}

module.exports = { listenerFor };
