'use strict';
// Codecs whose messages are JSON texts: 'json', 'lines' and 'lsp'. One text a line, whatever the wire makes of lines.

const { rsipc } = require('../errors.js');
const { TooLarge } = require('../slabs.js');
const proto = require('./proto.js');
const beside = require('./slabs.js');
const batches = require('./batches.js');
const { OPEN } = require('./state.js');
const { MESSAGE, REQUEST, REPLY, FAILURE, CANCEL, BESIDE, BATCH } = require('./kinds.js');
const { depthExceeds } = require('../fork/serialization.js');

function stringify(value) {
  const text = JSON.stringify(value);
  if (text === undefined) throw rsipc.notSerializable();
  return text;
}

// A run of texts may be as long, whatever each of them may.
const RUN = 512 * 1024;

// Bytes of the longest line of a text.
function longest(text) {
  let most = 0;
  for (let start = 0, end; (end = text.indexOf('\n', start) + 1) > 0; start = end) {
    if ((end - start) * 3 > most) most = Math.max(most, Buffer.byteLength(text.slice(start, end)));
  }
  return most;
}

const asked = (value) => (value === undefined ? '' : `,${stringify(value)}`);

// A run of frames that are no texts, each behind its length: of batches, or of what lies beside the connection.
function receiveFrames(codec, link, kind, bytes) {
  const { native } = link;
  const one = kind === BATCH ? receiveBatch : receiveBeside;
  let at = 0;
  try {
    while (at + 4 <= bytes.length) {
      const start = at + 4;
      at = start + bytes.readUInt32LE(at);
      one(codec, link, bytes.subarray(start, at));
      if (link.full || link.native !== native) return; // the rest is told when there is room for answers
    }
  } finally {
    if (at < bytes.length && link.native === native) link.later(kind, bytes.subarray(at), false);
  }
}

function receiveBatch(codec, link, bytes) {
  batches.receive(link, bytes, codec.clean);
}

function receiveBeside(codec, link, bytes) {
  const said = beside.read(link, bytes);
  if (said === null || said.head.length > 0) {
    link.malformed(bytes.length);
    return;
  }
  const { kind, place } = said;
  const payload = fetch(link, place, kind);
  if (payload === link) return;
  if (kind === BATCH) receiveBatch(codec, link, payload);
  else codec.receive(link, kind, payload);
}

// Texts or a batch, or `link` when they could not be read, which has ended the connection.
function fetch(link, place, kind) {
  const { slabs } = link;
  slabs.beside = 0;
  try {
    if (kind === BATCH) return slabs.bytesAt(place, 0, false, batches.longest(link.settings.maxMessageSize));
    const text = slabs.textAt(place, Math.max(link.settings.maxMessageSize, RUN));
    if (text !== null) {
      if (slabs.beside <= link.settings.maxMessageSize) return text;
      const size = longest(text);
      if (size <= link.settings.maxMessageSize) return text;
      slabs.beside = size;
      throw new TooLarge();
    }
    link.fail(rsipc.protocol('ERR_RSIPC_TOO_DEEP', `${link.who()}: a message of ${slabs.beside} bytes is nested deeper than ${link.settings.maxDepth} levels`));
  } catch (error) {
    if (error instanceof TooLarge) link.tooLarge(slabs.beside);
    else link.malformed(slabs.beside);
  }
  return link;
}

module.exports = {
  text: true,

  message(link, message) {
    if (link.outgoing !== null && link.state === OPEN && link.queued <= link.settings.highWaterMark) return batches.put(link, message);
    const text = JSON.stringify(message);
    if (text === undefined) throw rsipc.notSerializable();
    if (link.cold > 0) {
      link.cold -= text.length;
      if (link.cold <= 0) link.outgoing = new batches.Outgoing();
    }
    return link.put(MESSAGE, text);
  },

  encode: (message) => `${stringify(message)}\n`,

  // The value of a text that came with handles, which are not looked at before; or `link` when it could not be read, which
  // has ended the connection.
  decode(link, bytes) {
    const { maxDepth } = link.settings;
    const text = bytes.toString();
    const action = proto.ofText(link.settings, text);
    try {
      let value = JSON.parse(text);
      if (action !== null) value = proto.look(value, action, link.who());
      if (bytes.length < 2 * maxDepth || !depthExceeds(value, maxDepth)) return value;
      link.fail(rsipc.protocol('ERR_RSIPC_TOO_DEEP', `${link.who()}: a message of ${bytes.length} bytes is nested deeper than ${maxDepth} levels`));
    } catch (error) {
      if (error.code === 'ERR_RSIPC_PROTO_KEY') link.fail(error);
      else link.malformed(bytes.length);
    }
    return link;
  },

  request(link, id, name, body, again) {
    return link.put(REQUEST, `[${id},${JSON.stringify(name)},${again ? 1 : 0}${asked(body)}]`);
  },

  reply(link, id, body) {
    link.put(REPLY, `[${id}${asked(body)}]`);
  },

  failure(link, id, packed) {
    link.put(FAILURE, `[${id},${stringify(packed)}]`);
  },

  cancel(link, id) {
    link.put(CANCEL, `[${id}]`);
  },

  // Tells what a run of texts says. Each ends in a line feed.
  receive(link, kind, text, large) {
    if (kind >= BESIDE) {
      if (!large) receiveFrames(this, link, kind, text);
      else if (kind === BATCH) receiveBatch(this, link, text);
      else link.malformed(text.length);
      return;
    }
    const plain = kind === MESSAGE && !link.settings.jsonRpc;
    const action = proto.ofText(link.settings, text);
    const { native } = link;
    let start = 0;
    try {
      for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', start)) {
        let value;
        try {
          value = JSON.parse(text.slice(start, end));
        } catch {
          const from = start;
          start = end + 1;
          // Empty lines are nothing, where lines are the frames.
          if (link.settings.codec === 'lines' && text.slice(from, end).trim() === '') continue;
          link.malformed(end - from);
          return;
        }
        const size = end - start;
        start = end + 1;
        if (action !== null && !this.clean(link, value, action)) return;
        if (plain) link.deliver(value, size);
        else this.control(link, kind, value, size);
        if (link.full || link.native !== native) return; // the rest is told when there is room for answers
      }
    } finally {
      // When a listener threw, its neighbours are told all the same.
      if (start < text.length && link.native === native) link.later(kind, text.slice(start));
    }
  },

  // Looks into a value of a text in which something was found; `false` when that has ended the connection.
  clean(link, value, action) {
    try {
      proto.look(value, action, link.who());
      return true;
    } catch (error) {
      link.fail(error);
      return false;
    }
  },

  control(link, kind, value, size) {
    if (link.settings.jsonRpc) {
      link.rpc().receiveJsonRpc(value, size);
      return;
    }
    const known = Array.isArray(value) && Number.isSafeInteger(value[0]);
    switch (known ? kind : 0) {
      case REQUEST:
        if (typeof value[1] === 'string') link.rpc().asked(value[0], value[1], value[3], value[2] === 1);
        else link.malformed(size);
        break;
      case REPLY:
        link.rpc().replied(value[0], value[1]);
        break;
      case FAILURE:
        link.rpc().failed(value[0], value[1]);
        break;
      case CANCEL:
        link.rpc().cancelled(value[0]);
        break;
      default:
        link.malformed(size);
    }
  },
};
