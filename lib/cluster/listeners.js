'use strict';
// What workers listen on, in the primary. Connections of an `Accepting` are accepted in Rust and handed to one worker
// each; a `Shared` handle is sent to every worker, which then accepts or receives for itself. Both have `workers`, and
// `has`, `add`, `remove` and `close`, which is for when nobody listens any more.
//
// Both are bound by Node's own functions, so addresses, permissions and errors are those of a server in this process.

const fs = require('node:fs');
const path = require('node:path');
const net = require('node:net');
const dgram = require('node:dgram');
const os = require('node:os');
const native = require('../binding.js');
const { Fd } = require('../fork/fd.js');
const { build, datagramState } = require('../fork/handles.js');
const { serializeWhole } = require('../fork/serialization.js');

const IPV6_ONLY = 1; // libuv's UV_TCP_IPV6ONLY
const READABLE = 1; // libuv's UV_READABLE
const WRITABLE = 2; // libuv's UV_WRITABLE
const BACKLOG = 511;
const { EINVAL, ENOENT, EACCES } = os.constants.errno;

const isNumber = (value) => Number.isInteger(value) && value >= -1 && value < 2 ** 31;

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

// A UNIX socket whose file does not go with the handle, which libuv sees to: another primary may have it by then.
// Answers an Fd, or an error number.
function bindPath(file, { readableAll, writableAll }) {
  const fd = native.bindPath(file);
  if (fd < 0) return fd === -ENOENT ? -EACCES : fd; // as libuv has it
  const mode = (readableAll ? 0o444 : 0) | (writableAll ? 0o222 : 0);
  if (mode !== 0) fs.chmodSync(file, fs.statSync(file).mode & 0o777 | mode);
  return Fd.adopt(fd);
}

function unlink(file) {
  try {
    fs.unlinkSync(file);
  } catch {
    // Somebody else has.
  }
}

// The path that a query names, where that has a file.
const fileOf = ({ address, port, addressType, fd }) => (addressType === -1 && !(port >= 0) && !(fd >= 0)
  && typeof address === 'string' && address[0] !== '\0' ? address : undefined);

// `named`: the listener may come to another primary. `heirloom`: what has come from another one; `held`: another one accepts,
// whose the file is as well.
class Accepting {
  constructor(primary, key, query, { named, heirloom, held }) {
    this.primary = primary;
    this.named = named;
    this.held = false;
    this.fd = null; // a descriptor of the socket, where it is named
    this.file = undefined; // to be removed at the end
    this.inherited = heirloom !== undefined;
    this.stays = heirloom?.stays ?? false; // its file is a service manager's
    this.key = key;
    this.backlog = isNumber(query.backlog) && query.backlog > 0 ? query.backlog : BACKLOG;
    this.workers = new Set();
    this.waiting = []; // until it is known whether it listens
    this.settled = false;
    this.errno = 0;
    this.fields = {};
    this.handle = null; // of a path or a descriptor: closing it does more than closing the socket
    this.number = -1;
    const { address, port, fd, flags } = query;
    if (heirloom !== undefined) this.#inherit(heirloom, query, held);
    else if (named && fileOf(query) !== undefined) this.#listenAt(query);
    else if (port >= 0 && !(fd >= 0)) this.#listenOnPort({ port, host: address, ipv6Only: Boolean(flags & IPV6_ONLY), backlog: this.backlog });
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
    // Only a path has a mode.
    let errno = mode === 0 ? 0 : handle.fchmod?.(mode) ?? -EINVAL;
    if (errno === 0) errno = this.#accept(handle, this.backlog);
    if (errno === 0) handle.getsockname?.(this.fields.sockname = {});
    else handle.close();
    this.#settle(errno);
  }

  #inherit({ fd, fields }, query, held = false) {
    this.held = held;
    this.fields = fields;
    this.file = this.stays ? undefined : fileOf(query);
    this.fd = fd;
    this.#settle(this.#accept(fd, this.backlog));
  }

  #listenAt(query) {
    const fd = bindPath(query.address, query);
    if (typeof fd === 'number') {
      this.#settle(fd);
      return;
    }
    this.file = query.address;
    this.fd = fd;
    this.#settle(this.#accept(fd, this.backlog));
  }

  #accept(handle, backlog) {
    this.number = this.primary.listen(handle.fd, backlog, ...announcements(this.key, this.primary.firstSequence), this.held);
    if (this.named && this.number >= 0) this.fd ??= new Fd(handle.fd);
    return Math.min(0, this.number);
  }

  #settle(errno) {
    this.errno = errno;
    this.settled = true;
    if (errno !== 0) this.fd?.close();
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
        this.workers.delete(worker);
        reply(this.errno, null, null);
      } else if (this.workers.has(worker)) {
        reply(null, this.fields, null);
        this.primary.add(this.number, worker.id);
      }
    };
    if (this.settled) tell();
    else this.waiting.push(tell);
  }

  remove(worker) {
    if (!this.workers.delete(worker)) return false;
    if (this.number >= 0) this.primary.remove(this.number, worker.id);
    return true;
  }

  close() {
    if (this.settled) this.#close();
    else this.waiting.push(() => this.#close());
  }

  #close() {
    if (this.number >= 0) this.primary.close(this.number);
    if (this.errno === 0) this.handle?.close();
    this.fd?.close();
    if (this.file !== undefined && !this.held) unlink(this.file);
  }

  // ---- for another primary ----

  // What it needs to have this listener; undefined where there is nothing to have.
  heirloom() {
    return this.settled && this.errno === 0 ? { fields: this.fields, fd: new Fd(this.fd), stays: this.stays } : undefined;
  }

  // Stops accepting, or begins again.
  hold(on) {
    this.held = on;
    if (this.number >= 0) this.primary.hold(this.number, on);
  }

  get unfinished() {
    return this.number >= 0 ? this.primary.unfinished(this.number) : 0;
  }

  // It is another primary's now.
  giveUp() {
    this.file = undefined;
  }
}

// Workers accept for themselves, each from a socket that shares the port. Of one that is paused, stopped or gone Rust accepts
// what is left, and hands it out. What cannot be had that way, or at all, has a negative number.
class Apart {
  constructor(primary, key, { address, port, flags, backlog }) {
    this.primary = primary;
    this.workers = new Set();
    this.errno = 0;
    this.unfinished = 0;
    const only6 = Boolean(flags & IPV6_ONLY);
    this.number = primary.listenApart(address || null, port, only6, backlog > 0 ? backlog : BACKLOG, ...announcements(key, primary.firstSequence));
  }

  has(worker) {
    return this.workers.has(worker);
  }

  add(worker, reply) {
    const fd = this.primary.socketFor(this.number, worker.id);
    if (fd < 0) {
      reply(fd, null, null);
      return;
    }
    this.workers.add(worker);
    const handle = net._createServerHandle(null, 0, 4, fd);
    reply(null, null, handle);
    handle.close();
    this.primary.add(this.number, worker.id);
  }

  remove(worker) {
    if (!this.workers.delete(worker)) return false;
    this.primary.remove(this.number, worker.id);
    return true;
  }

  close() {
    this.primary.close(this.number);
  }

  // It is made for no cluster whose primary may be replaced.
  heirloom() {}

  hold() {}

  giveUp() {}
}

const isUdp = ({ addressType }) => addressType === 'udp4' || addressType === 'udp6';

// Node's own handle around a descriptor, which it owns from then on; undefined when it is nothing for that.
function handleAround(fd, type) {
  const { kind } = fd;
  let handle;
  build({ type }, fd.detach(), kind, undefined, (made) => { handle = made; });
  return handle;
}

// What a datagram socket binds, as Node does; or an error number.
function datagramHandle({ address, port, addressType, fd, flags }) {
  const { handle } = datagramState(dgram.createSocket(addressType));
  const errno = fd > 0 ? handle.open(fd) : port || address ? handle.bind(address, port || 0, flags) : 0;
  if (errno === 0) return handle;
  handle.close();
  return errno;
}

class Shared {
  constructor(query, { named, heirloom, held }) {
    this.workers = new Set();
    this.errno = 0;
    this.inherited = heirloom !== undefined;
    this.held = this.inherited && held;
    this.stays = heirloom?.stays ?? false;
    this.file = named && !this.stays ? fileOf(query) : undefined;
    const handle = this.#open(query, heirloom);
    this.handle = typeof handle === 'number' ? null : handle;
    if (typeof handle === 'number') this.errno = handle;
  }

  #open(query, heirloom) {
    const { address, port, addressType, fd, flags } = query;
    const type = isUdp(query) ? 'dgram.Native' : 'net.Native';
    if (heirloom !== undefined) return handleAround(heirloom.fd, type) ?? -EINVAL;
    if (this.file !== undefined) {
      const bound = bindPath(this.file, query);
      return typeof bound === 'number' ? bound : handleAround(bound, type) ?? -EINVAL;
    }
    if (isUdp(query)) return datagramHandle(query);
    return net._createServerHandle(address, port, addressType, fd, flags);
  }

  has(worker) {
    return this.workers.has(worker);
  }

  add(worker, reply) {
    if (this.errno === 0) this.workers.add(worker);
    reply(this.errno, null, this.handle);
  }

  remove(worker) {
    return this.workers.delete(worker);
  }

  close() {
    this.handle?.close();
    if (this.handle !== null && this.file !== undefined && !this.held) unlink(this.file);
  }

  heirloom() {
    return this.errno === 0 ? { fields: {}, fd: new Fd(this.handle.fd), stays: this.stays } : undefined;
  }

  // Workers accept for themselves until they close it.
  hold(on) {
    this.held = on;
  }

  get unfinished() {
    return 0;
  }

  giveUp() {
    this.file = undefined;
  }
}

// What asks for a socket that cannot be.
class Refused {
  constructor() {
    this.workers = new Set();
    this.errno = -EINVAL;
    this.unfinished = 0;
  }

  has() {
    return false;
  }

  add(worker, reply) {
    reply(this.errno, null, null);
  }

  remove() {
    return false;
  }

  close() {}

  heirloom() {}

  hold() {}

  giveUp() {}
}

// What the fields of a question may be, besides not there. Of the others any value is understood: Node itself sends a
// backlog of `false`.
const FIELDS = {
  address: (value) => typeof value === 'string',
  port: isNumber,
  addressType: (value) => isNumber(value) || value === 'udp4' || value === 'udp6',
  fd: isNumber,
  flags: isNumber,
  index: isNumber,
};

// Whether a worker's `queryServer` message asks for something that may be.
function isSound(query) {
  return Object.entries(FIELDS).every(([name, fits]) => query[name] === undefined || query[name] === null || fits(query[name]));
}

// What the `queryServer` message of a worker asks for. `apart`: each worker is to have a socket of its own, where it can;
// `estate`: see `Accepting`.
function listenerFor(primary, key, query, { accepts, apart }, estate) {
  const asked = { ...query, address: shortest(query.address, query.port, query.addressType) };
  try {
    if (apart && !estate.named && estate.heirloom === undefined && asked.port >= 0 && !(asked.fd >= 0) && !isUdp(query)) {
      const listener = new Apart(primary, key, asked);
      if (listener.number >= 0) return listener;
    }
    return accepts && !isUdp(query) ? new Accepting(primary, key, asked, estate) : new Shared(asked, estate);
  } catch {
    // Fields that no socket has.
    return new Refused();
  }
}

module.exports = { listenerFor, isSound };
