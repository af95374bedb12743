'use strict';
// Whether an encoded message is longer than its receiver takes, by the bytes that it has as JSON: the limit is the same
// whatever carries the message.
//
// Writing JSON only to measure it costs as much as sending it. So it is left out where the size of what was received
// says that it cannot be too much: for all but messages that are huge, or nearly at the limit.

const { MAX_KEY } = require('./codec/format.js');

const CHARACTER = 6; // bytes of JSON, at most: of \u0000
const KEY = 3; // besides its characters: two quotes and a colon
const VALUE = 11; // a word of 4 bytes besides the key before it, and characters: a number and a comma

// Bytes of JSON that a byte of an encoded message stands for, at most, with keys of so many characters.
const most = (longestKey) => Math.max(CHARACTER, (CHARACTER * longestKey + KEY + VALUE) / 4);

// Up to this size no message is too large for `limit`.
function sureSize(limit) {
  return Math.floor(limit / most(MAX_KEY));
}

// The bytes of `message` as JSON, if they are more than `limit`, otherwise 0. `size`: of what was received, `longestKey`:
// characters of the keys that it may have.
function bytesAbove(limit, message, size, longestKey) {
  if (size * most(longestKey) <= limit) return 0;
  const bytes = Buffer.byteLength(JSON.stringify(message));
  return bytes > limit ? bytes : 0;
}

module.exports = { sureSize, bytesAbove };
