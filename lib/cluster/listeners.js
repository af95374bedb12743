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
const { R_OK, W_OK } = { R_OK: 1, W_OK: 2 }; // libuv's UV_READABLE and UV_WRITABLE
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
  // Its `errno` says whether it listens.
  constructor(primary, key, { address, port, addressType, fd, flags, backlog, readableAll, writableAll }) {
    this.primary = primary;
    this.workers = new Set();
    this.errno = 0;
    this.sockname = undefined;
    this.handle = null; // kept where closing it does more than closing the descriptor
    this.number = -1;
    const handle = net._createServerHandle(address, port, addressType, fd, flags & IPV6_ONLY);
    if (typeof handle === 'number') {
      this.errno = handle;
      return;
    }
    const length = backlog || BACKLOG;
    const isTcp = typeof handle.getsockname === 'function';
    const binds = isTcp && !(fd >= 0);
    if (binds) this.errno = handle.listen(length); // where libuv says that the address is in use
    if (this.errno === 0 && !isTcp && (readableAll || writableAll)) {
      this.errno = handle.fchmod((readableAll ? R_OK : 0) | (writableAll ? W_OK : 0));
    }
    if (this.errno === 0) {
      if (isTcp) handle.getsockname(this.sockname = {});
      this.errno = Math.min(0, this.number = primary.listen(handle.fd, binds ? null : length, ...announcements(key, primary.firstSequence)));
    }
    // libuv would accept on it as well.
    if (binds || this.errno !== 0) handle.close();
    else this.handle = handle;
  }

  get reply() {
    return this.sockname === undefined ? {} : { sockname: this.sockname };
  }

  has(worker) {
    return this.workers.has(worker);
  }

  // `reply(errno, fields, handle)` is called once.
  add(worker, reply) {
    if (this.errno !== 0) {
      reply(this.errno, null, null);
      return;
    }
    this.workers.add(worker);
    reply(null, this.reply, null);
    this.primary.add(this.number, worker.id);
  }

  // Answers whether that was the last worker; then nobody listens any more.
  remove(worker) {
    if (!this.workers.delete(worker)) return false;
    this.primary.remove(this.number, worker.id);
    if (this.workers.size > 0) return false;
    this.primary.close(this.number);
    this.handle?.close();
    return true;
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
