'use strict';
// The child's side: makes the channel that Node opened for `process` ours.
//
// Node has set `process.send` up before any user code runs. Its channel handle is behind a symbol;
// what it has read of an unfinished message is taken along, its descriptor is duplicated, and the
// handle is closed. `process.channel` stays the same object, because Node's own listeners count on it.

const { isMainThread } = require('node:worker_threads');
const native = require('../binding.js');
const { attach, kLink } = require('./attach.js');
const { CHILD } = require('./roles.js');
const { DEFAULTS, nativeOptions } = require('./settings.js');

const kPreload = Symbol.for('rsipc.preload'); // the preloaded file of a child whose parent is rsipc
const MOST_REASONS = 100_000; // to stay: far more than a process has listeners

const symbolOf = (object, description) => Object.getOwnPropertySymbols(object).find((symbol) => symbol.description === description);

// Bytes of an unfinished message that Node has read, or null when its state is not what we know.
function unread(handle) {
  const buffers = handle[symbolOf(handle, 'kMessageBuffer')];
  if (buffers !== undefined) {
    if (Array.isArray(buffers)) return { advanced: true, bytes: Buffer.concat(buffers) };
    return { advanced: true, bytes: Buffer.from(buffers) };
  }
  const text = handle[symbolOf(handle, 'kJSONBuffer')];
  if (typeof text !== 'string') return null;
  const decoder = handle[symbolOf(handle, 'kStringDecoder')];
  const tail = decoder ? decoder.lastChar.subarray(0, decoder.lastTotal - decoder.lastNeed) : Buffer.alloc(0);
  return { advanced: false, bytes: Buffer.concat([Buffer.from(text), tail]) };
}

// Whether an unfinished message may be one whose descriptor Node holds already, where nobody finds it.
function bringsHandle({ advanced, bytes }) {
  if (bytes.length === 0) return false;
  if (advanced) return bytes.length < 32 || bytes.subarray(0, 32).includes('NODE_HANDLE');
  const begin = Buffer.from('{"cmd":"NODE_HANDLE"');
  return bytes.subarray(0, begin.length).equals(begin.subarray(0, bytes.length));
}

// Node's count of reasons to stay, and whether the program has overruled it by a `ref` or `unref` of its own. Neither
// can be read: reasons are taken away until the handle lets go, which is no harm to a counter that has served its time.
// The listeners alone would not do: a write that Node has just ended may still be counted.
function reasonsOf(channel, handle) {
  if (!handle.hasRef()) {
    channel.refCounted();
    return { references: 0, explicit: !handle.hasRef() };
  }
  let references = 0;
  channel.emit = () => false; // 'unref' would be told here, and nothing has let go
  while (handle.hasRef() && references < MOST_REASONS) {
    channel.unrefCounted();
    references++;
  }
  delete channel.emit;
  return { references, explicit: handle.hasRef() };
}

// Puts our methods on Node's channel object.
function overControl(link, { references, explicit }) {
  const { channel } = process;
  const own = {
    refCounted() {
      if (++references === 1 && !explicit) link.setRef(true);
    },
    unrefCounted() {
      if (--references === 0 && !explicit) {
        link.setRef(false);
        channel.emit?.('unref');
      }
    },
    ref() {
      explicit = true;
      link.setRef(true);
    },
    unref() {
      explicit = true;
      link.setRef(false);
    },
    hasRef: () => link.native.hasRef(),
    ready: (options) => link.ready(options),
    flushSync: (options) => link.flushSync(options),
  };
  for (const [name, value] of Object.entries(own)) {
    Object.defineProperty(channel, name, { value, configurable: true, enumerable: false, writable: true });
  }
  Object.defineProperty(channel, 'fd', { get: () => (link.open ? link.native.fd : undefined), configurable: true });
  Object.defineProperty(channel, 'transport', { get: () => link.transport, configurable: true });
  Object.defineProperty(channel, 'payload', { get: () => link.payload, set: (value) => { link.receiveAs(value); }, configurable: true });
  Object.defineProperty(channel, 'queued', { get: () => link.queued(), configurable: true });
  return channel;
}

// Messages that no listener has taken yet are given out by whoever gives out the next one.
function takeEarly(link) {
  const { channel } = process;
  const symbol = symbolOf(channel, 'kPendingMessages');
  const pending = symbol === undefined ? [] : channel[symbol];
  if (!Array.isArray(pending) || pending.length === 0) return;
  channel[symbol] = [];
  link.inbox.takeOver(pending.map(([, message, handle]) => [message, handle, 0]));
}

// What Node's channel of this process is on; undefined when there is none.
function nodesHandle() {
  const symbol = symbolOf(process, 'kChannelHandle');
  return symbol === undefined ? undefined : process[symbol];
}

// The link of this process to its parent, made ours if it is Node's; null when there is none, or when it has to be left
// to Node for now. `limits` are settings other than the defaults.
function parentLink(limits) {
  if (process[kLink] !== undefined) return process[kLink];
  if (!isMainThread || native.Channel === undefined) return null;
  if (typeof process.send !== 'function' || !process.connected || !process.channel) return null;
  const handle = nodesHandle();
  // Node is still writing, or waits for an answer about a handle: leave it its channel.
  if (!handle || typeof handle.fd !== 'number' || handle.fd < 0 || handle.writeQueueSize > 0 || process._handleQueue) return null;
  const rest = unread(handle);
  if (rest === null || bringsHandle(rest)) return null;

  const settings = { ...DEFAULTS, ...limits, serialization: rest.advanced ? 'advanced' : 'json' };
  const channel = native.Channel.adopt(handle.fd, nativeOptions(settings));
  handle.readStop();
  const hadRef = handle.hasRef();
  const reasons = reasonsOf(process.channel, handle);
  handle.onread = () => {};
  handle.close();

  const link = attach(process, channel, settings, CHILD, (made) => overControl(made, reasons));
  link.start();
  link.setRef(hadRef);
  if (handle.sockets) link.lists.adopt(handle.sockets);
  takeEarly(link);
  channel.shareWithThreads();
  const preload = process[kPreload];
  if (preload !== undefined) {
    preload();
    process.nextTick(() => link.peer.greet()); // behind what the program sends right now
  }
  if (rest.bytes.length > 0) link.feed(rest.bytes);
  return link;
}

module.exports = { parentLink, nodesHandle };
