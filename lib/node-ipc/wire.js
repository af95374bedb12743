'use strict';
// node-ipc's wire: `{"type":…,"data":…}` as JSON, and a delimiter behind each.

const { rsipc } = require('../errors.js');

const LONGEST_TIMER = 2 ** 31 - 1;
const ENOUGH = 64 * 1024; // characters that are not gathered any longer

// What these lifecycle events mean is known by this end alone: a peer cannot make them happen.
const RESERVED = new Set(['connect', 'disconnect', 'destroy', 'start', 'close', 'socket.disconnected']);

// One message as it travels. node-ipc sends `{}` for what is empty, and for an emitter.
function format(type, data, delimiter) {
  if ((!data && data !== false && data !== 0) || data._maxListeners) data = {};
  return JSON.stringify({ type, data }) + delimiter;
}

// Cuts what arrives into messages. Each character is looked at once, however the stream was split.
class Reader {
  #config;
  #pieces = [];
  #length = 0;
  #timer = null;
  #socket;
  #refuse;

  // `refuse(error)` ends the connection over `socket`, which datagrams do not have.
  constructor(config, socket, refuse) {
    this.#config = config;
    this.#socket = socket;
    this.#refuse = refuse;
  }

  // Calls `take(type, data)` for each whole message in `text` and what came before it.
  read(text, take) {
    const { delimiter, maxMessageSize } = this.#config;
    if (delimiter.length > 1 && this.#length > 0) {
      // The delimiter itself may be split.
      const last = this.#pieces.pop();
      this.#length -= last.length;
      text = last + text;
    }
    let start = 0;
    for (;;) {
      const end = text.indexOf(delimiter, start);
      if (end === -1) break;
      const frame = this.#length === 0 ? text.slice(start, end) : this.#whole(text.slice(start, end));
      if (frame.length > maxMessageSize) return this.#tooLarge(maxMessageSize);
      start = end + delimiter.length;
      this.#parse(frame, take);
      if (this.#socket?.destroyed) return; // by a listener
    }
    if (start < text.length) {
      this.#pieces.push(start === 0 ? text : text.slice(start));
      this.#length += text.length - start;
      if (this.#length > maxMessageSize) return this.#tooLarge(maxMessageSize);
    }
    this.#watch();
  }

  end() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#pieces = [];
    this.#length = 0;
    this.#refuse = null;
  }

  #whole(rest) {
    const whole = this.#pieces.join('') + rest;
    this.#pieces = [];
    this.#length = 0;
    clearTimeout(this.#timer);
    this.#timer = null;
    return whole;
  }

  #parse(frame, take) {
    let type = 'error';
    let data;
    try {
      const message = JSON.parse(frame);
      if (RESERVED.has(message.type)) {
        data = rsipc.protocol('ERR_RSIPC_RESERVED_EVENT', `the peer sent the event '${message.type}', which only this end can cause`);
      } else {
        ({ type, data } = message);
      }
    } catch (error) {
      data = { message: 'Invalid JSON response format', err: error, response: frame }; // as node-ipc tells it
    }
    try {
      take(type, data);
    } catch (error) {
      process.nextTick(rethrow, error); // a listener's; the messages behind this one have listeners as well
    }
  }

  #watch() {
    const { frameTimeout } = this.#config;
    if (this.#length === 0 || this.#timer !== null || frameTimeout > LONGEST_TIMER) return;
    this.#timer = setTimeout(() => this.#end('ERR_RSIPC_FRAME_TIMEOUT', `a message has been incomplete for ${frameTimeout} ms, with ${this.#length} characters of it here`), frameTimeout).unref();
  }

  #tooLarge(limit) {
    this.#end('ERR_RSIPC_MESSAGE_TOO_LARGE', `a message is longer than config.maxMessageSize, ${limit} characters`);
  }

  #end(code, text) {
    const refuse = this.#refuse;
    this.end();
    refuse?.(rsipc.protocol(code, text));
  }
}

function rethrow(error) {
  throw error;
}

const kGathered = Symbol('gathered');
const gathering = new Set(); // sockets with messages that wait for the end of the tick
let scheduled = false;
let watching = false;

// What is sent in one tick leaves in one write.
function send(socket, text) {
  if (socket[kGathered] === undefined) writeBehind(socket);
  socket[kGathered] += text;
  if (socket[kGathered].length > ENOUGH) {
    flush(socket);
    return;
  }
  gathering.add(socket);
  if (scheduled) return;
  scheduled = true;
  process.nextTick(flushAll);
  if (watching) return;
  watching = true;
  process.on('exit', flushAll);
}

function flushAll() {
  scheduled = false;
  for (const socket of gathering) flush(socket);
}

function flush(socket) {
  gathering.delete(socket);
  const text = socket[kGathered];
  if (!text) return;
  socket[kGathered] = '';
  if (!socket.destroyed && !socket.writableEnded) Object.getPrototypeOf(socket).write.call(socket, text);
}

// Whatever else is done with the socket comes behind what was sent before.
function writeBehind(socket) {
  socket[kGathered] = '';
  const prototype = Object.getPrototypeOf(socket);
  for (const name of ['write', 'end', 'destroy', 'destroySoon']) {
    const original = prototype[name];
    if (typeof original !== 'function') continue;
    Object.defineProperty(socket, name, {
      value(...args) {
        if (socket[kGathered] !== '') flush(socket);
        return original.apply(socket, args);
      },
      configurable: true,
      writable: true,
      enumerable: false,
    });
  }
}

module.exports = { format, Reader, send };
