'use strict';
// Codecs whose messages are bytes: 'v8' and 'raw'. Short ones of a tick are gathered in one stretch of memory that all
// connections of the thread share, and leave with one call.

const { node, rsipc } = require('../errors.js');
const { serializeWhole, serializeBeside, deserialize, depthExceeds } = require('../fork/serialization.js');
const { TooLarge } = require('../slabs.js');
const beside = require('./slabs.js');
const { CONNECTING, OPEN, CLOSING } = require('./state.js');
const { MESSAGE, REQUEST, REPLY, FAILURE, CANCEL, BESIDE } = require('./kinds.js');

const EMPTY = Buffer.alloc(0);
const ACCEPTED = Promise.resolve(); // what `send` answers while there is room
const SHORT = 16 * 1024;
const STAGE = 64 * 1024;
const LONGEST_NAME = 65_535;
// With so much beside it a message leaves before its tick has ended.
const AT_ONCE = 64 * 1024;

let stage = null;
let owner = null; // whose messages are on it
let used = 0;
let laid = 0; // bytes beside the value that was encoded last

function asBytes(value) {
  if (value instanceof Uint8Array) return value;
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) return Buffer.from(value);
  throw node.invalidType('message', 'a Buffer, TypedArray, DataView or ArrayBuffer with codec \'raw\'', value);
}

// Whether what is sent leaves now.
const isFree = (link) => link.state === OPEN && link.queued <= link.settings.highWaterMark && link.waiting === null;

// For a message that is sent at once, or kept if it has to be.
function encode(link, value) {
  if (link.settings.codec === 'raw') return value === undefined ? EMPTY : asBytes(value);
  const slabs = isFree(link) ? link.memory() : null;
  if (slabs === null) return serializeWhole(value);
  const payload = serializeBeside(value, slabs);
  laid = slabs.beside;
  return payload;
}

// Hands what is on the stage to its connection.
function clearStage(write) {
  const link = owner;
  const length = used;
  owner = null;
  used = 0;
  if (link !== null && link.native !== null) link.answered(link.native.sendPacked(link.kind, stage, length, write));
}

function put(link, kind, head, payload) {
  const size = head.length + payload.length;
  const atOnce = laid >= AT_ONCE;
  laid = 0;
  if (!isFree(link)) {
    // What is kept must not change with the caller's memory.
    const keeps = link.settings.codec === 'raw' && (link.state === CONNECTING || link.settings.slowPeer === 'drop-oldest');
    const kept = keeps ? Buffer.from(payload) : payload;
    const refused = link.state === CLOSING && kind !== MESSAGE ? null : link.refuses(size, kind, () => put(link, kind, head, kept));
    if (refused !== null) return refused;
    if (link.state === CONNECTING) {
      link.parts ??= [];
      link.queued += size;
      link.parts.push(() => put(link, kind, head, kept));
      return link.room();
    }
  }
  if (link.server !== null) link.server.cast();
  if (size > SHORT || atOnce) {
    if (owner === link) clearStage(false);
    link.answered(beside.send(link, kind, head, payload));
    return link.room();
  }
  let crowded = false;
  if (owner !== link || kind !== link.kind || used + size + 4 > STAGE) {
    crowded = used > 0;
    clearStage(owner === link && kind === link.kind);
    stage ??= Buffer.allocUnsafeSlow(STAGE);
    owner = link;
    link.kind = kind;
  }
  stage.writeUInt32LE(size, used);
  if (head.length > 0) stage.set(head, used + 4);
  stage.set(payload, used + 4 + head.length);
  used += size + 4;
  link.bytes = 1;
  link.schedule();
  return crowded ? link.room() : ACCEPTED;
}

function numbered(id) {
  const head = Buffer.allocUnsafe(4);
  head.writeUInt32LE(id);
  return head;
}

function decode(link, bytes) {
  if (link.settings.codec === 'raw') return bytes;
  const value = deserialize(bytes, link.slabs);
  if (bytes.length >= 2 * link.settings.maxDepth && depthExceeds(value, link.settings.maxDepth)) {
    throw rsipc.protocol('ERR_RSIPC_TOO_DEEP', `${link.who()}: a message of ${bytes.length} bytes is nested deeper than ${link.settings.maxDepth} levels`);
  }
  return value;
}

// The value, or `link` when it could not be read, which has ended the connection.
function decoded(link, bytes) {
  try {
    return decode(link, bytes);
  } catch (error) {
    if (error.code === 'ERR_RSIPC_TOO_DEEP') link.fail(error);
    else unreadable(link, bytes.length, error);
    return link;
  }
}

function unreadable(link, size, error) {
  if (error instanceof TooLarge) link.tooLarge(link.slabs.beside);
  else link.malformed(size);
}

// A payload whose last part lies beside the connection.
function receiveBeside(link, bytes) {
  const said = beside.read(link, bytes);
  if (said === null) {
    link.malformed(bytes.length);
    return;
  }
  const { kind, place, head } = said;
  const { slabs, settings } = link;
  slabs.beside = head.length;
  let body;
  try {
    // What is read by a program must not change under it, so only what is the user's is left where it lies.
    body = slabs.bytesAt(place, 0, settings.codec === 'raw' && kind !== FAILURE && settings.payload === 'view');
  } catch (error) {
    unreadable(link, bytes.length, error);
    return;
  }
  receiveOne(link, kind, head, body);
}

// `body`: where it does not come behind what else there is.
function receiveOne(link, kind, bytes, body = null) {
  if (kind === BESIDE) {
    receiveBeside(link, bytes);
    return;
  }
  if (link.slabs !== null && body === null) link.slabs.beside = bytes.length;
  if (kind === MESSAGE) {
    const message = decoded(link, body ?? bytes);
    if (message !== link) link.deliver(message, link.slabs === null ? bytes.length : link.slabs.beside);
    return;
  }
  if (bytes.length < 4) {
    link.malformed(bytes.length);
    return;
  }
  const id = bytes.readUInt32LE(0);
  let at = 4;
  let name;
  let again = false;
  if (kind === REQUEST) {
    const end = bytes.length < 7 ? Infinity : 7 + bytes.readUInt16LE(5);
    if (end > bytes.length) {
      link.malformed(bytes.length);
      return;
    }
    again = bytes[4] === 1;
    name = bytes.toString('utf8', 7, end);
    at = end;
  }
  if (body !== null && at !== bytes.length) {
    link.malformed(bytes.length);
    return;
  }
  const rest = body ?? bytes.subarray(at);
  if (kind === CANCEL) {
    link.rpc().cancelled(id);
  } else if (kind === FAILURE) {
    let packed;
    try {
      packed = JSON.parse(rest.toString());
    } catch {
      link.malformed(bytes.length);
      return;
    }
    link.rpc().failed(id, packed);
  } else {
    const body = decoded(link, rest);
    if (body === link) return;
    if (kind === REQUEST) link.rpc().asked(id, name, body, again);
    else if (kind === REPLY) link.rpc().replied(id, body);
    else link.malformed(bytes.length);
  }
}

module.exports = {
  asBytes,
  text: false,

  message(link, message) {
    if (message === undefined && link.settings.codec === 'raw') asBytes(message);
    return put(link, MESSAGE, EMPTY, encode(link, message));
  },

  decode: decoded,
  // Of a Buffer it is a copy: it is sent later, and must not change till then.
  encode: (message, codec) => (codec === 'raw' ? Buffer.from(asBytes(message)) : serializeWhole(message)),

  request(link, id, name, body, again) {
    const text = Buffer.from(name);
    if (text.length > LONGEST_NAME) throw node.outOfRange('name.length', `<= ${LONGEST_NAME} bytes`, text.length);
    const head = Buffer.allocUnsafe(7 + text.length);
    head.writeUInt32LE(id);
    head[4] = again ? 1 : 0;
    head.writeUInt16LE(text.length, 5);
    text.copy(head, 7);
    return put(link, REQUEST, head, encode(link, body));
  },

  reply(link, id, body) {
    put(link, REPLY, numbered(id), encode(link, body));
  },

  failure(link, id, packed) {
    put(link, FAILURE, numbered(id), Buffer.from(JSON.stringify(packed)));
  },

  cancel(link, id) {
    put(link, CANCEL, numbered(id), EMPTY);
  },

  // Writes what was gathered.
  flush(link, write) {
    link.bytes = 0;
    if (owner === link) clearStage(write);
    else if (write) link.answered(link.native.flush());
  },

  // Tells what a run of payloads says, each behind its length, or one long payload.
  receive(link, kind, bytes, large) {
    if (large) {
      receiveOne(link, kind, bytes);
      return;
    }
    const { native } = link;
    let at = 0;
    try {
      while (at + 4 <= bytes.length) {
        const start = at + 4;
        at = start + bytes.readUInt32LE(at);
        receiveOne(link, kind, bytes.subarray(start, at));
        if (link.full || link.native !== native) return; // the rest is told when there is room for answers
      }
    } finally {
      // When a listener threw, its neighbours are told all the same.
      if (at < bytes.length && link.native === native) link.later(kind, bytes.subarray(at), false);
    }
  },
};
