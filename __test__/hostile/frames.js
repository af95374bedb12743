'use strict';
// Frames as Node writes them, for both serializations, and frames nobody writes.

const { serialize } = require('node:v8');

const SERIALIZATIONS = ['json', 'advanced'];

function withLength(payload, length = payload.length) {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(length);
  return Buffer.concat([head, payload]);
}

function frame(serialization, message) {
  if (serialization === 'json') return Buffer.from(`${JSON.stringify(message)}\n`);
  return withLength(serialize(message));
}

// A message with a handle of `type`.
function envelope(serialization, type, msg, more = {}) {
  return frame(serialization, { cmd: 'NODE_HANDLE', type, msg, ...more });
}

// Text of a value nested `depth` levels deep.
function nestedJson(depth) {
  return `${'['.repeat(depth)}${']'.repeat(depth)}\n`;
}

// Bytes of an array in an array, `depth` levels deep, as V8 writes them.
function nestedAdvanced(depth) {
  const open = Buffer.alloc(2 * depth);
  const close = Buffer.alloc(3 * depth);
  for (let level = 0; level < depth; level++) {
    open.set([0x41, level === depth - 1 ? 0 : 1], 2 * level); // dense array, its length
    close.set([0x24, 0, level === 0 ? 0 : 1], 3 * level); // end, properties, length
  }
  return withLength(Buffer.concat([Buffer.from([0xff, 0x0f]), open, close]));
}

function nested(serialization, depth) {
  return serialization === 'json' ? Buffer.from(nestedJson(depth)) : nestedAdvanced(depth);
}

module.exports = { SERIALIZATIONS, frame, envelope, withLength, nested };
