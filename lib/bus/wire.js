'use strict';
// What a bus and its broker say to each other, over a connection with codec 'raw': a byte for the kind, four for the
// length of a head of JSON, lowest byte first, the head, and the body of a message as its publisher has encoded it.
// A message for a subscription begins with its number and with how many were dropped before it, four bytes each.

const VERSION = 1;
const KINDS = Object.freeze({ HELLO: 1, SUBSCRIBE: 2, UNSUBSCRIBE: 3, PUBLISH: 4, KEEP: 5, WELCOME: 6, SUBSCRIBED: 7, TAKEN: 8, MESSAGE: 9, ENDED: 10 });
const EMPTY = Buffer.alloc(0);
const PREFIX = 8;

function encode(kind, head, body = EMPTY) {
  const text = Buffer.from(JSON.stringify(head));
  const bytes = Buffer.allocUnsafe(5 + text.length + body.length);
  bytes[0] = kind;
  bytes.writeUInt32LE(text.length, 1);
  bytes.set(text, 5);
  bytes.set(body, 5 + text.length);
  return bytes;
}

// The same message for one of its subscriptions.
function address(frame, ref, dropped) {
  const bytes = Buffer.allocUnsafe(frame.length + PREFIX);
  bytes[0] = frame[0];
  bytes.writeUInt32LE(ref, 1);
  bytes.writeUInt32LE(dropped, 5);
  bytes.set(frame.subarray(1), 1 + PREFIX);
  return bytes;
}

// Undefined if it is nothing of ours.
function decode(bytes) {
  const kind = bytes[0];
  const at = kind === KINDS.MESSAGE ? 1 + PREFIX : 1;
  if (bytes.length < at + 4) return undefined;
  const end = at + 4 + bytes.readUInt32LE(at);
  if (end > bytes.length) return undefined;
  let head;
  try {
    head = JSON.parse(bytes.toString('utf8', at + 4, end));
  } catch {
    return undefined;
  }
  if (head === null || typeof head !== 'object') return undefined;
  const frame = { kind, head, body: bytes.subarray(end), ref: 0, dropped: 0 };
  if (at > 1) {
    frame.ref = bytes.readUInt32LE(1);
    frame.dropped = bytes.readUInt32LE(5);
  }
  return frame;
}

module.exports = { VERSION, KINDS, encode, address, decode };
