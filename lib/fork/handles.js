'use strict';
// Sockets, servers and datagram sockets to descriptors and back, as Node names them on its wire.

const net = require('node:net');
const dgram = require('node:dgram');
const native = require('../binding.js');
const { node, rsipc } = require('../errors.js');
const { Fd } = require('./fd.js');
const { partsOf, arrive } = require('../shared/travel.js');

const nothing = () => {};

// On the prototype of channel ends; answers what of one travels.
const END = Symbol('rsipc.channelEnd');
const STREAM_WRAPS = new Set(['TCP', 'Pipe']);

const isWrap = (value, names) => typeof value === 'object' && value !== null && names.has(value.constructor?.name) && typeof value.fd === 'number';

// The libuv handle inside a datagram socket: behind a symbol that Node does not export.
function datagramState(socket) {
  for (let object = socket; object !== null; object = Object.getPrototypeOf(object)) {
    const symbol = Object.getOwnPropertySymbols(object).find((candidate) => candidate.description === 'state symbol');
    if (symbol !== undefined) return socket[symbol];
  }
  return undefined;
}

// What `handle` is on the wire; throws ERR_INVALID_HANDLE_TYPE for anything else. `wrap` is the
// object whose `fd` travels, null when the object has none any more.
function classify(handle) {
  if (handle instanceof net.Socket) return streamOf('net.Socket', handle);
  if (handle instanceof net.Server) return streamOf('net.Server', handle);
  if (isWrap(handle, STREAM_WRAPS)) return { type: 'net.Native', wrap: handle };
  if (handle instanceof dgram.Socket) return { type: 'dgram.Socket', wrap: datagramState(handle)?.handle ?? null, dgramType: handle.type };
  if (isWrap(handle, new Set(['UDP']))) return { type: 'dgram.Native', wrap: handle };
  if (handle instanceof Fd) {
    if (handle.fd < 0) throw rsipc.fdClosed();
    return { type: 'fd', wrap: handle };
  }
  if (net.BoundSocket !== undefined && handle instanceof net.BoundSocket && !handle.isPipe) {
    return { type: 'net.BoundSocket', wrap: { fd: handle.fd() } }; // throws when it was sent or used already
  }
  if (typeof handle[END] === 'function') {
    const end = handle[END]();
    return { type: 'fd', wrap: end, end };
  }
  const shared = partsOf(handle);
  if (shared !== undefined) return { type: 'fd', wrap: shared, shared };
  throw node.invalidHandle();
}

// A terminal or a TLS socket is a net.Socket too, but its descriptor alone is of no use to the peer,
// and a plain Node reader aborts on a descriptor it does not know.
function streamOf(type, handle) {
  const wrap = handle._handle ?? null;
  if (wrap !== null && !STREAM_WRAPS.has(wrap.constructor?.name)) throw node.invalidHandle();
  return { type, wrap };
}

let http; // loaded by the first that is sent

// A net.Socket that was sent is no longer this process's: Node detaches it and closes its handle.
// Ours can be closed at once, because the channel holds a duplicate until the peer has answered.
function detach(socket) {
  const handle = socket._handle;
  handle.onread = nothing;
  socket._handle = null;
  socket.setTimeout(0);
  http ??= require('_http_common');
  const { freeParser, HTTPParser } = http;
  if (socket.parser && socket.parser instanceof HTTPParser) {
    freeParser(socket.parser, null, socket);
    if (socket._httpMessage) socket._httpMessage.detachSocket(socket);
  }
  handle.close();
}

// Constructors of Node's own wraps, found once through an object that has one.
const constructors = new Map();

function wrapConstructor(kind) {
  let constructor = constructors.get(kind);
  if (constructor === undefined) {
    if (kind === 'udp') {
      const socket = dgram.createSocket('udp4');
      constructor = datagramState(socket).handle.constructor;
      socket.close();
    } else {
      const socket = new net.Socket({ fd: native.newSocket(kind), readable: false, writable: false, manualStart: true });
      constructor = socket._handle.constructor;
      socket.destroy();
    }
    constructors.set(kind, constructor);
  }
  return constructor;
}

// Node's wrap around a descriptor that has arrived; it owns the descriptor from then on. null when the descriptor
// is nothing for it, and an exception when there is no descriptor left to find the constructor with. Either way the
// descriptor has been closed.
function wrapDescriptor(fd, kind, type) {
  const family = kind === 'udp' ? 'udp' : kind === 'tcp' ? 'tcp' : 'pipe';
  let wrap;
  try {
    const Wrap = wrapConstructor(family);
    wrap = family === 'udp' ? new Wrap() : new Wrap(type === 'net.Server' ? 1 : 0);
  } catch (error) {
    native.closeFd(fd);
    throw error;
  }
  if (wrap.open(fd) === 0) {
    native.releaseFd(fd);
    return wrap;
  }
  native.closeFd(fd);
  wrap.close();
  return null;
}

// Node makes a net.BoundSocket around a handle for its worker threads only; a Node without that way,
// or without the class, gets the wrap itself.
function boundSocket(wrap) {
  const Transferred = net._TransferredBoundSocket;
  const prototype = net.BoundSocket?.prototype ?? {};
  const adopt = Object.getOwnPropertySymbols(prototype).find((symbol) => symbol.description === 'messaging_deserialize_symbol');
  if (Transferred === undefined || adopt === undefined) return wrap;
  const bound = new Transferred();
  try {
    bound[adopt]({ handle: wrap });
  } catch {
    wrap.close(); // not a socket in the state Node asks for
    return undefined;
  }
  return bound;
}

// Makes the user's object out of a descriptor, which is this function's from now on, and hands it to `done`, at once
// or when it listens: undefined when the descriptor is not what the envelope says, and then 'lost' when the object
// could not be made for another reason, such as want of descriptors. Only what `done` throws is thrown.
function build(envelope, fd, kind, lists, done) {
  const { type } = envelope;
  if (type === 'fd') {
    if (envelope.end !== undefined) done(require('./channel-end.js').arrive(envelope.end, fd, kind));
    else done(envelope.shared === undefined ? Fd.adopt(fd) : arrive(envelope.shared, fd));
    return;
  }
  // Node listens on a UNIX socket's wrap through its number alone, and would own it twice.
  if (type === 'net.Server' && kind !== 'tcp') {
    native.releaseFd(fd);
    const close = (server) => (server?._handle ? server._handle.close() : native.closeFd(fd));
    whenListening(() => new net.Server(), (server, ready) => server.listen({ fd, exclusive: true }, ready), close, done);
    return;
  }
  let wrap = null;
  let object;
  try {
    wrap = wrapDescriptor(fd, kind, type);
    if (wrap !== null) object = around(wrap, type);
  } catch {
    wrap?.close();
    done(undefined, 'lost');
    return;
  }
  const close = () => wrap.close();
  if (wrap === null) {
    done(undefined);
  } else if (type === 'net.Server') {
    whenListening(() => new net.Server(), (server, ready) => server.listen(wrap, ready), close, done);
  } else if (type === 'dgram.Socket') {
    whenListening(() => new dgram.Socket(envelope.dgramType === 'udp6' ? 'udp6' : 'udp4'), (socket, ready) => socket.bind(wrap, ready), close, done);
  } else {
    if (type === 'net.Socket') lists.received(envelope.key, object);
    done(object);
  }
}

// The object of this type that is there as soon as it has its wrap.
function around(wrap, type) {
  if (type === 'net.Socket') return new net.Socket({ handle: wrap, readable: true, writable: true });
  if (type === 'net.BoundSocket') return boundSocket(wrap);
  return wrap; // net.Native and dgram.Native are the wrap itself
}

// A peer may call anything a server: what cannot listen is closed, and its error is nobody else's. `close` gets the
// object, if there is one, and closes the descriptor when it could not even try.
function whenListening(make, listen, close, done) {
  let told = false; // what `done` throws, now or later, is not ours
  const tell = (object, problem) => {
    told = true;
    done(object, problem);
  };
  let object;
  try {
    object = make();
    const onError = () => {
      object.close(() => {});
      tell(undefined);
    };
    object.once('error', onError);
    listen(object, () => {
      object.removeListener('error', onError);
      tell(object);
    });
  } catch (error) {
    if (told) throw error;
    close(object);
    tell(undefined, 'lost');
  }
}

// Fields that travel beside `type` and `msg`, and what happens to the sender's object afterwards.
function prepare(link, handle, described, options) {
  const envelope = { cmd: 'NODE_HANDLE', type: described.type, msg: null };
  if (described.type === 'dgram.Socket') envelope.dgramType = described.dgramType;
  if (described.end !== undefined) {
    if (options.keepOpen) throw node.invalidValue('options.keepOpen', options.keepOpen, 'is not possible for a channel end, which has one owner');
    link.requirePeer('Sending a channel end');
    envelope.end = described.end.words;
  } else if (described.shared !== undefined) {
    const { kind, name } = described.shared;
    link.requirePeer('Sending shared memory');
    envelope.shared = { kind, name };
  } else if (described.type === 'fd') {
    link.requirePeer('Sending an rsipc.Fd');
  }
  const ownedByServer = described.type === 'net.Socket' && handle.server;
  if (ownedByServer) envelope.key = handle.server._connectionKey;
  const sent = () => {
    if (ownedByServer) {
      link.lists.sentFor(handle.server);
      if (!options.keepOpen) handle.server._connections--;
    }
    if (described.type === 'net.Socket' && !options.keepOpen) detach(handle);
    if (described.end !== undefined) described.end.given();
    // Shared memory stays this process's as well.
    if (described.shared !== undefined || described.end !== undefined) return;
    if ((described.type === 'fd' || described.type === 'net.BoundSocket') && !options.keepOpen) handle.close();
  };
  return { envelope, sent };
}

// Closes a handle that came with a message nobody takes.
function release(handle) {
  if (handle instanceof net.Socket) handle.destroy();
  else handle?.close();
}

module.exports = { END, classify, prepare, build, release, datagramState };
