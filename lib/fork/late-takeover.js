'use strict';
// Makes the channel ours in the middle of the traffic, when the parent of a preloaded child asks for it.
//
// In an immediate everything that Node has read has been given out, but for the beginning of one message, which is
// taken along. What Node is writing cannot be: until it is written, what the program sends is held back here.

const { nodesHandle } = require('./takeover.js');
const { linkOf } = require('./attach.js');
const { serializeWhole, deserialize } = require('./serialization.js');
const { DEFAULTS } = require('./settings.js');
const { parent } = require('./parent.js');

// A program that never asked for rsipc keeps Node's habits: its parent may send it what it could before.
const LIMITS = Object.freeze({ maxMessageSize: 2 ** 32 - 1, maxDepth: 100_000, frameTimeout: Infinity });
const SENDABLE = new Set(['string', 'object', 'number', 'boolean']);

// Takes the channel over as soon as it can be had, and answers `hello`.
function takeOver(hello) {
  const { channel, _send: send, _disconnect: disconnect } = process;
  if (!process.connected || !channel) return;
  const handle = nodesHandle();
  const advanced = Object.getOwnPropertySymbols(handle).some(({ description }) => description === 'kMessageBuffer');
  let waiting = setImmediate(look).unref(); // neither wakes the loop nor keeps it
  let held = null;
  let bytes = 0;

  // What has to end first (a write, the answer about a handle) ends in a turn of the loop.
  function look() {
    if (held === null || handle.writeQueueSize === 0) attempt();
    else waiting = setImmediate(look).unref();
  }

  function attempt() {
    clearImmediate(waiting);
    const sends = letGo();
    if (linkOf(process) === undefined && process.connected) {
      try {
        parent(LIMITS);
      } catch {
        hello = null; // no descriptor is left, say: Node keeps its channel
      }
    }
    for (const sent of sends) process._send(...sent);
    if (hello === null || !process.connected) return;
    if (linkOf(process) !== undefined) {
      linkOf(process).peer.receive(hello);
      return;
    }
    waiting = setImmediate(look).unref();
    if (handle.writeQueueSize > 0 && !process._handleQueue) hold();
  }

  function hold() {
    held = [];
    bytes = 0;
    process._send = (message, sentHandle, options, callback) => {
      // As it is now: the program may change it.
      const value = sentHandle || !SENDABLE.has(typeof message) ? undefined : advanced ? serializeWhole(message) : JSON.stringify(message);
      if (value === undefined) {
        release();
        return Reflect.apply(send, process, [message, sentHandle, options, callback]);
      }
      held.push([advanced ? deserialize(value) : JSON.parse(value), undefined, options, callback]);
      bytes += value.length;
      return handle.writeQueueSize + bytes < DEFAULTS.highWaterMark.bytes;
    };
    process._disconnect = () => {
      release();
      Reflect.apply(disconnect, process, []);
    };
    // Node takes a write off its count before it calls the program back, which may well send the next one.
    Object.defineProperty(channel, 'unrefCounted', {
      value() {
        Reflect.apply(Object.getPrototypeOf(channel).unrefCounted, channel, []);
        if (handle.writeQueueSize === 0) attempt();
      },
      configurable: true,
    });
  }

  // Gives what was held to Node after all.
  function release() {
    for (const sent of letGo()) Reflect.apply(send, process, sent);
  }

  // Answers what was held.
  function letGo() {
    if (held === null) return [];
    const sends = held;
    held = null;
    process._send = send;
    process._disconnect = disconnect;
    delete channel.unrefCounted;
    return sends;
  }
}

module.exports = { takeOver };
