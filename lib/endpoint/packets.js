'use strict';
// Messages that travel whole, each on its own: in a datagram, in a file. What their ends have in common, and the form
// that a Link is given instead of a codec of streams.

const { node, rsipc } = require('../errors.js');
const { serializeWhole, deserialize, depthExceeds } = require('../fork/serialization.js');
const { asBytes } = require('./bytes.js');
const proto = require('./proto.js');
const { RUN, EVENTS, WROTE, ERROR, MESSAGE, KIND } = require('./kinds.js');
const { CLOSING, CONNECTING } = require('./state.js');
const { rejected } = require('./rejected.js');

const CODECS = ['json', 'v8', 'raw']; // on the wire: their place here, from 1
const LINE_FEED = 10;
const ONE = RUN | (MESSAGE << KIND);

function toBytes(codec, value) {
  if (codec === 'raw') return Buffer.from(asBytes(value)); // it is written later, and must not change till then
  if (codec === 'v8') return serializeWhole(value);
  const text = JSON.stringify(value);
  if (text === undefined) throw rsipc.notSerializable();
  return Buffer.from(codec === 'lines' ? `${text}\n` : text);
}

// Throws what says why `bytes` are no message; that has a code when it is not just unreadable.
function fromBytes(settings, bytes) {
  const { codec, maxDepth } = settings;
  if (codec === 'raw') return bytes;
  const text = codec === 'v8' ? null : bytes.toString();
  const action = text === null ? null : proto.ofText(settings, text);
  const value = text === null ? deserialize(bytes) : JSON.parse(text);
  if (action !== null) proto.look(value, action, 'a sender');
  if (bytes.length >= 2 * maxDepth && depthExceeds(value, maxDepth)) {
    throw rsipc.protocol('ERR_RSIPC_TOO_DEEP', `a message of ${bytes.length} bytes is nested deeper than ${maxDepth} levels`);
  }
  return value;
}

// The messages of one packet: as many as it has lines with codec 'lines', one with any other.
function messagesOf(settings, bytes) {
  if (settings.codec !== 'lines') return [fromBytes(settings, bytes)];
  const messages = [];
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(LINE_FEED, start);
    const line = bytes.subarray(start, end === -1 ? bytes.length : end);
    start += line.length + 1;
    if (line.some((byte) => byte > 32)) messages.push(fromBytes(settings, line)); // empty lines are nothing
  }
  return messages;
}

// What a Link takes for its codec. `longest` is how many bytes `where` can carry; `reads` is an end that cannot send.
function form(settings, { longest, where, reads = false }) {
  const encode = (value) => {
    const bytes = toBytes(settings.codec, value);
    if (bytes.length > longest) throw rsipc.longMessage(bytes.length, longest, where);
    return bytes;
  };
  const put = (link, bytes) => {
    if (link.state >= CLOSING) return rejected(rsipc.connectionClosed(link.who()));
    if (link.native?.mute) return rejected(rsipc.oneWay(link.who()));
    const refused = link.refuses(bytes.length, MESSAGE, () => put(link, bytes));
    if (refused !== null) return refused;
    if (link.state === CONNECTING) {
      link.parts ??= [];
      link.queued += bytes.length;
      link.parts.push(() => put(link, bytes));
      return link.room();
    }
    link.server?.cast();
    link.answered(link.native.sendBytes(MESSAGE, null, bytes));
    return link.room();
  };
  return {
    text: false,
    message: (link, value) => (reads ? rejected(rsipc.oneWay(link.who())) : put(link, encode(value))),
    encode: (value) => {
      if (reads) throw rsipc.oneWay(where);
      return encode(value);
    },
    request: (link) => {
      throw rsipc.noRequests(link.who());
    },
    cancel() {},
    flush() {},
    receive: (link, kind, { message, size }) => (settings.jsonRpc ? link.rpc().receiveJsonRpc(message, size) : link.deliver(message, size)),
  };
}

// Settings for whole messages.
function shaped(options, check, about) {
  const settings = check(options);
  const { codecs = CODECS } = about;
  if (!codecs.includes(settings.codec)) throw node.invalidValue('options.codec', settings.codec, `must be one of: ${codecs.map((codec) => `'${codec}'`).join(', ')} for ${about.where}`);
  if (settings.jsonRpc && !codecs.includes('lines')) throw node.invalidValue('options.jsonRpc', true, `needs a stream; ${about.where} is none`);
  settings.framing = 'bytes';
  settings.form = form(settings, about);
  return settings;
}

// An end whose messages come whole: what a Link asks of it. `sendBytes`, `pause`, `setRef` and `close` are its heirs'.
class PacketEnd {
  #found = null;
  #message = null;
  #event = { kind: 'ended', truncated: 0 };
  queued = 0;
  error = 0;
  peer = null;
  greets = false;
  connecting = false;
  passesHandles = false;
  paused = false;
  closed = false;

  open(found) {
    this.#found = found;
  }

  // Tells one message, now. What a listener throws is thrown.
  give(message, size) {
    if (this.closed || this.#found === null) return;
    this.#message = { message, size };
    this.#found(ONE);
  }

  takeBytes() {
    return this.#message;
  }

  // So many bytes have left.
  left(bytes) {
    this.queued -= bytes;
    if (!this.closed && this.#found !== null) this.#found(WROTE);
  }

  failed(errno) {
    this.error = Math.abs(errno);
    if (!this.closed && this.#found !== null) this.#found(ERROR);
  }

  // The connection is over: the other end has gone, or nothing was heard of it for long.
  over() {
    if (!this.closed && this.#found !== null) this.#found(EVENTS);
  }

  // What has come cannot be taken: the connection is over, and why is told.
  problem(code, message) {
    this.#event = { kind: 'problem', code, message };
    this.over();
  }

  takeEvents() {
    return [this.#event];
  }

  turn() {
    return 0;
  }

  flush() {
    return this.queued;
  }

  partialAge() {
    return -1;
  }

  heard() {
    return true;
  }

  pause(on) {
    this.paused = on;
  }

  setRef() {}

  close() {
    this.closed = true;
  }
}

// Ends the ends of whom nothing was heard for so long. Answers what stops that.
function idlers(ends, timeout) {
  if (timeout === Infinity) return () => {};
  const period = Math.min(Math.max(timeout / 4, 10), 60_000);
  let due = performance.now() + period;
  const timer = setInterval(() => {
    const now = performance.now();
    // While the loop was busy nothing could be heard.
    const late = Math.max(now - due, 0);
    due = now + period;
    for (const end of [...ends()]) {
      end.heardAt += late;
      if (!end.paused && now - end.heardAt > timeout) end.over();
    }
  }, period).unref();
  return () => clearInterval(timer);
}

module.exports = { CODECS, PacketEnd, shaped, fromBytes, messagesOf, idlers };
