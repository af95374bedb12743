'use strict';
// What the encoder and the decoder agree on; docs/wire.md has it as a page.
//
// A batch is words (32-bit integers) and one text, which is all its strings in the order in which they are needed. The
// lowest three bits of a value's first word say what it is, the other 29 are its operand.

const INTEGER = 0; // the operand, signed
const STRING = 1; // so many characters of the text
const DOUBLE = 2; // the next two words, the low half first
const CONSTANT = 3; // one of those below
const OBJECT = 4; // the values of a shape's keys, in order; the operand is twice its number, and SOME_ABSENT may be set
const SOME_ABSENT = 8;
const ARRAY = 5; // so many values
const JSON_TEXT = 6; // the value of so many characters of JSON
const SHAPE = 7; // no value: a new shape of so many keys, whose lengths are the next words; the value follows

const constant = (number) => number << 3 | CONSTANT;
const NULL = constant(0);
const FALSE = constant(1);
const TRUE = constant(2);
const EMPTY = constant(3); // {}
const ABSENT = constant(4); // the object has no such key
const SAME = constant(5); // the newest short string here: see RECENT and ELEMENTS
const FORGET = constant(6); // no value: all shapes are forgotten, the next one is number 0; the value follows

// Strings of this length or more V8 cuts out of a text without copying them.
const SHORT = 13;

// Strings of less than this length are remembered for each key of a shape, because the next one there is often the same.
const RECENT = 64;

// And those of less than SHORT for so many elements of the arrays at each key, and of those that are a message.
const ELEMENTS = 8;

// What both ends keep for each other is bounded. What has no room is JSON text.
const MAX_SHAPES = 1024;
const MAX_KEYS = 64;
const MAX_KEY = 128; // characters
const MAX_NESTING = 32;

// A function made for one shape is several times faster than a loop over its keys. It pays from this use of the shape
// on, and no peer makes this process compile more than so many. Without `new Function`, the loop does it all.
const USES_TO_GENERATE = 32;
const MAX_GENERATED = 4096;
let generates = true;
try {
  void new Function('');
} catch {
  generates = false; // --disallow-code-generation-from-strings
}

module.exports = {
  INTEGER, STRING, DOUBLE, OBJECT, SOME_ABSENT, ARRAY, JSON_TEXT, SHAPE, NULL, FALSE, TRUE, EMPTY, ABSENT, SAME, FORGET,
  SHORT, RECENT, ELEMENTS, MAX_SHAPES, MAX_KEYS, MAX_KEY, MAX_NESTING, USES_TO_GENERATE, MAX_GENERATED, generates,
};
