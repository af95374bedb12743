'use strict';
// The child's side: makes the channel that Node opened for `process` ours.
//
// Node has set `process.send` up before any user code runs. Its channel handle is behind a symbol;
// what it has read of an unfinished message is taken along, its descriptor is duplicated, and the
// handle is closed. `process.channel` stays the same object, because Node's own listeners count on it.

const { isMainThread } = require('node:worker_threads');
const native = require('../binding.js');
const { attach, kLink } = require('./attach.js');
const { DEFAULTS, nativeOptions } = require('./settings.js');

// Both serializations write the `cmd` of a message with a handle first; its name is within so many bytes.
const HANDLE_WITHIN = 64;

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

// Puts our methods on Node's channel object. Its counter cannot be read, so ours starts from the
// listeners it counts, and from what it made of them.
function overControl(link, handleHadRef) {
  const { channel } = process;
  const counted = process.listenerCount('message') + process.listenerCount('disconnect');
  let references = counted;
  let explicit = handleHadRef !== counted > 0;
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
  Object.defineProperty(channel, 'queued', { get: () => link.queued(), configurable: true });
  return channel;
}

// The link of this process to its parent, made ours if it is Node's; null when there is none.
function parentLink() {
  if (!isMainThread || native.Channel === undefined) return null;
  if (process[kLink] !== undefined) return process[kLink];
  if (typeof process.send !== 'function' || !process.connected || !process.channel) return null;
  const symbol = symbolOf(process, 'kChannelHandle');
  const handle = symbol === undefined ? undefined : process[symbol];
  // Node is still writing, or waits for an answer about a handle: leave it its channel.
  if (!handle || typeof handle.fd !== 'number' || handle.fd < 0 || handle.writeQueueSize > 0 || process._handleQueue) return null;
  const rest = unread(handle);
  // The descriptor of a message with a handle came with its first byte, and is where only Node reaches it.
  if (rest === null || rest.bytes.subarray(0, HANDLE_WITHIN).includes('NODE_HANDLE')) return null;

  const settings = { ...DEFAULTS, serialization: rest.advanced ? 'advanced' : 'json' };
  handle.readStop();
  const hadRef = handle.hasRef();
  const channel = native.Channel.adopt(handle.fd, nativeOptions(settings));
  handle.onread = () => {};
  handle.close();

  const link = attach(process, channel, settings, (made) => overControl(made, hadRef));
  link.setRef(hadRef);
  channel.shareWithThreads();
  if (rest.bytes.length > 0) link.feed(rest.bytes);
  return link;
}

module.exports = { parentLink };
