'use strict';
// What the user gives to be written, as bytes; and memory in which copies are handed out.

const { isAnyArrayBuffer } = require('node:util/types');
const { node } = require('../errors.js');

const CHUNK = 64 * 1024;

// A string stays one: it is encoded where it is written.
function bytesOf(data, name = 'data') {
  if (ArrayBuffer.isView(data)) return data;
  if (isAnyArrayBuffer(data)) return new Uint8Array(data);
  throw node.invalidType(name, 'of type string or an instance of Buffer, TypedArray, DataView, or ArrayBuffer', data);
}

// The same of bytes that are still needed when the caller has gone on.
function copyOf(data) {
  if (typeof data === 'string') return Buffer.from(data);
  const bytes = bytesOf(data);
  return Buffer.from(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}

// Copies stand one behind the other in chunks that nothing else uses, as in Node's own pool. What is larger than a
// quarter of one has memory of its own.
class Pool {
  constructor() {
    this.chunk = Buffer.alloc(0);
    this.used = 0;
  }

  // A chunk with room for `bytes`, behind `used`.
  renew(bytes) {
    this.chunk = Buffer.allocUnsafeSlow(Math.max(bytes, CHUNK));
    this.used = 0;
  }
}

module.exports = { CHUNK, Pool, bytesOf, copyOf };
