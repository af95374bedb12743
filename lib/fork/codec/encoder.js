'use strict';
// Messages to a batch of words and text (format.js). What arrives is what JSON.parse(JSON.stringify(message)) gives.
//
// The walk does what JSON.stringify does, step by step in its order: it reads toJSON, then lists the keys, then reads
// and writes one value after the other. So it may run the user's getters and toJSON, and never needs to take that
// back: whatever it cannot write itself it finds out before it has run any code of that value, and leaves to
// JSON.stringify, which makes one piece of JSON text of it.

const { types: { isNativeError, isProxy } } = require('node:util');
const { Shapes, Site } = require('./shapes.js');
const { STRING, DOUBLE, OBJECT, SOME_ABSENT, ARRAY, JSON_TEXT, SHAPE, NULL, FALSE, TRUE, ABSENT, SAME, FORGET, SHORT, RECENT, ELEMENTS, MAX_NESTING } = require('./format.js');

const { getOwnPropertyDescriptor, getPrototypeOf, prototype: plain } = Object;
const { isArray } = Array;
const { stringify } = JSON;
const { apply } = Reflect;

const FIRST_WORDS = 1024;
const KEPT_WORDS = 64 * 1024; // more is given back when it is not used,
const MOST_WORDS = 1024 * 1024; // and much more after the batch
const MOST_ELEMENTS = 1024 * 1024; // longer arrays may be all holes
const LONG = 8; // elements from which an array is looked at before it is begun

// Whether trying pays. A piece of JSON text inside a message costs about as much as so many words save; a message
// that has more of it than that costs luck. Without luck, messages go as JSON text whole for a while, each time longer.
const TEXT_COSTS = 16;
const LUCK = 8;
const FIRST_REST = 32;
const LONGEST_REST = 256;

// Where a map of so many characters of text was, so many objects are written as text unseen.
const LARGE = 8 * 1024;
const SKIPS = 31;

// V8 needs some 20 ms of each end until it has optimized the code, which a channel earns back if it is busy. So a
// channel begins to try after so many characters of JSON, which cost about as much.
const WARM_UP = 2 * 1024 * 1024;

const double = new Float64Array(1);
const halves = new Int32Array(double.buffer);

// Thrown through the walk: only JSON.stringify words this error as it should be.
const CIRCULAR = Symbol('circular');
const isCircular = (error) => isNativeError(error) && typeof error.message === 'string' && error.message.startsWith('Converting circular structure to JSON');

// Whether a value is an object like any other, of which reading toJSON gives nothing and runs nothing.
const hasNoToJSON = (value) => typeof value === 'object' && !isProxy(value) && getPrototypeOf(value) === plain && !('toJSON' in value);

// JSON.stringify of a value whose toJSON has been called already: it is the answer of another toJSON.
const holder = {
  value: undefined,
  toJSON() {
    const { value } = holder;
    holder.value = undefined;
    return value;
  },
};
function stringifyAnswer(value) {
  holder.value = value;
  return stringify(holder);
}

// The length of an array, which a Proxy of one may answer with anything.
function lengthOf(list) {
  const { length } = list;
  if (typeof length === 'number' && length >>> 0 === length) return length;
  return Math.max(Math.trunc(+length) || 0, 0);
}

class Encoder {
  constructor() {
    // The batch, of messages that are written to the end.
    this.words = new Int32Array(FIRST_WORDS);
    this.length = 0;
    this.text = '';
    this.count = 0;
    this.size = 0;
    // The message being written: its words are behind those of the batch, up to `at`.
    this.at = 0;
    this.own = ''; // its text
    this.busy = false;
    this.failed = false; // what it had changed is to be undone
    this.absent = 0; // values that JSON leaves out, in the object being written
    this.texts = 0; // pieces of JSON text because of unknown shapes
    this.ancestors = new Array(MAX_NESTING).fill(null);
    this.depth = 0;
    // What outlives batches.
    this.shapes = new Shapes();
    this.site = new Site();
    this.answers = new Site(); // of toJSON
    this.forget = false; // the peer must be told to forget all shapes
    this.cold = WARM_UP;
    this.luck = LUCK;
    this.resting = 0; // so many messages go as JSON text whole
    this.rest = FIRST_REST;
  }

  // Appends `message`, or answers false when JSON has nothing for it. Throws what JSON.stringify throws. A batch must
  // be handed over before its text comes near the longest string V8 can have.
  add(message) {
    if (this.busy) return this.#addWithin(message);
    if (this.cold > 0 || this.resting > 0) return this.#addText(this.whole(message));
    if (this.failed) this.#undo(); // the stack had no room for it
    this.busy = true;
    const { shapes } = this;
    shapes.earn();
    if (shapes.isFull) {
      shapes.clear();
      this.site.elements = null;
      this.forget = true;
    }
    this.at = this.length;
    if (this.at + 4 > this.words.length) this.grow(4);
    if (this.forget) this.words[this.at++] = FORGET;
    try {
      this.put(message, '', this.site);
      if (this.absent > 0) {
        this.#undo();
        return false;
      }
      if (this.texts > 0 || this.luck < LUCK) this.#judge();
      this.text += this.own;
    } catch (error) {
      this.busy = false;
      this.failed = true;
      this.#undo();
      if (error !== CIRCULAR) throw error;
      return this.#addText(stringify(message));
    }
    // From here on nothing can fail.
    this.forget = false;
    this.length = this.at;
    this.own = '';
    this.busy = false;
    this.count++;
    this.size = this.length * 4 + this.text.length;
    shapes.sure = shapes.known.length;
    return true;
  }

  // The message as JSON text, undefined when JSON has nothing for it, while trying to write it would not pay; null when it
  // would. It has its own way then, which is shorter than that of a batch.
  whole(message) {
    if (this.busy) return null;
    if (this.cold > 0) {
      const text = stringify(message);
      if (text !== undefined) this.cold -= text.length;
      return text;
    }
    if (this.resting === 0) return null;
    this.resting--;
    return stringify(message);
  }

  // Begins the next batch.
  reset() {
    if (this.busy) {
      // Code that the message being written runs has handed the batch over.
      this.words.copyWithin(0, this.length, this.at);
      this.at -= this.length;
    } else {
      const { length } = this.words;
      if (length > MOST_WORDS || (length > KEPT_WORDS && this.length < length / 4)) this.words = new Int32Array(FIRST_WORDS);
    }
    this.length = 0;
    this.text = '';
    this.count = 0;
    this.size = 0;
  }

  #addText(text) {
    if (text === undefined) return false;
    this.at = this.length;
    if (this.at + 1 > this.words.length) this.grow(1);
    this.text += text;
    this.words[this.length++] = text.length << 3 | JSON_TEXT;
    this.count++;
    this.size = this.length * 4 + this.text.length;
    return true;
  }

  // A getter or toJSON of the message being written sends another one, which comes before it.
  #addWithin(message) {
    const text = stringify(message);
    if (text === undefined) return false;
    if (this.at + 1 > this.words.length) this.grow(1);
    this.text += text;
    this.words.copyWithin(this.length + 1, this.length, this.at);
    this.at++;
    this.words[this.length++] = text.length << 3 | JSON_TEXT;
    this.count++;
    this.size = this.length * 4 + this.text.length;
    return true;
  }

  #undo() {
    this.own = '';
    this.busy = false;
    this.absent = 0;
    this.texts = 0;
    this.ancestors.fill(null);
    this.depth = 0;
    this.shapes.undo();
    this.site.elements = null;
    this.failed = false;
  }

  #judge() {
    const saved = this.at - this.length - this.texts * TEXT_COSTS;
    this.texts = 0;
    if (saved >= 0) {
      this.luck = Math.min(this.luck + 2, LUCK);
      this.rest = FIRST_REST;
    } else if (--this.luck < 0) {
      this.luck = LUCK;
      this.resting = this.rest;
      this.rest = Math.min(this.rest * 2, LONGEST_REST);
    }
  }

  grow(more) {
    let capacity = this.words.length * 2;
    while (capacity < this.at + more) capacity *= 2;
    const words = new Int32Array(capacity);
    words.set(this.words.subarray(0, this.at));
    this.words = words;
  }

  // One value, which has been read from `key` of what holds it.
  put(value, key, site) {
    if (this.at + 4 > this.words.length) this.grow(4);
    const { words } = this;
    if (typeof value === 'string') {
      words[this.at++] = value.length << 3 | STRING;
      this.own += value;
    } else if (typeof value === 'number') {
      if ((value << 3 >> 3) === value) words[this.at++] = value << 3; // -0 too, which JSON writes as 0
      else if (value - value === 0) {
        double[0] = value;
        words[this.at] = DOUBLE;
        words[this.at + 1] = halves[0];
        words[this.at + 2] = halves[1];
        this.at += 3;
      } else words[this.at++] = NULL;
    } else if (value === null) words[this.at++] = NULL;
    else if (typeof value === 'object') this.branch(value, key, site);
    else if (value === true) words[this.at++] = TRUE;
    else if (value === false) words[this.at++] = FALSE;
    else if (value === undefined || typeof value === 'symbol') this.#leaveOut();
    else this.odd(value, key, value.toJSON); // a function or a BigInt
  }

  // The value of the `i`th key of an object of this shape. The peer takes each string of less than RECENT characters
  // that stands at a key, whoever has written it, for the newest one there.
  member(value, i, shape) {
    if (this.at + 4 > this.words.length) this.grow(4);
    if (typeof value === 'string') {
      const { recent } = shape;
      if (value === recent[i]) this.words[this.at++] = SAME;
      else {
        const { length } = value;
        this.words[this.at++] = length << 3 | STRING;
        this.own += value;
        if (length < SHORT) recent[i] = value;
        else if (length < RECENT) recent[i] = shape.copyToKeep(value, i);
      }
    } else if (typeof value === 'number' && (value << 3 >> 3) === value) this.words[this.at++] = value << 3;
    else {
      this.put(value, shape.keys[i], shape.sites[i]);
      if (typeof value !== 'number' && typeof value !== 'boolean') shape.recent[i] = null; // its toJSON may have given a string
    }
  }

  branch(value, key, site) {
    let list = false;
    try {
      list = isArray(value);
    } catch {
      // A revoked Proxy: reading toJSON throws what JSON.stringify throws.
    }
    if (list) this.#array(value, key, site);
    else {
      const shape = site.skip > 0 || this.depth === MAX_NESTING || isProxy(value) ? null : this.shapes.find(value, site);
      if (shape === null) this.#unknown(value, key, site);
      else shape.write(this, value, key, shape);
    }
  }

  // To list the keys of a large map costs nearly as much as to write it as text.
  #unknown(value, key, site) {
    if (site.skip > 0) {
      site.skip--;
      this.odd(value, key, value.toJSON);
      return;
    }
    const { strange } = this.shapes;
    const before = this.own.length;
    this.odd(value, key, value.toJSON);
    if (strange && this.own.length - before >= LARGE) site.skip = SKIPS;
  }

  #array(value, key, site) {
    const { toJSON } = value;
    if (toJSON !== undefined || this.depth === MAX_NESTING) return this.odd(value, key, toJSON);
    const length = lengthOf(value);
    if (length > MOST_ELEMENTS || (length >= LONG && site.guess === null && this.#isBetterAsText(value, site))) return this.odd(value, key, toJSON);
    this.#enter(value);
    this.words[this.at++] = length << 3 | ARRAY;
    const { absent } = this;
    for (let i = 0; i < length; i++) {
      const element = value[i];
      if (typeof element === 'string') this.#textAt(element, i, site);
      else {
        this.put(element, i, site);
        if (typeof element !== 'number' && site.elements !== null && i < ELEMENTS) site.elements[i] = null; // its toJSON may have given a string
      }
      if (this.absent !== absent) {
        this.absent = absent;
        this.words[this.at - 1] = NULL;
      }
    }
    this.ancestors[--this.depth] = null;
    return undefined;
  }

  // A string of an array. The peer takes each short one among the first for the newest one there.
  #textAt(text, i, site) {
    if (this.at + 4 > this.words.length) this.grow(4);
    const elements = site.elements ??= new Array(ELEMENTS).fill(null);
    if (i < ELEMENTS && text === elements[i]) this.words[this.at++] = SAME;
    else {
      this.words[this.at++] = text.length << 3 | STRING;
      this.own += text;
      if (i < ELEMENTS && text.length < SHORT) elements[i] = text;
    }
  }

  // So are arrays of objects that have nothing in common, by their first. A Proxy is walked: its traps have been called.
  #isBetterAsText(list, site) {
    if (isProxy(list)) return false;
    const value = getOwnPropertyDescriptor(list, 0)?.value;
    if (typeof value !== 'object' || value === null || isProxy(value) || isArray(value)) return false;
    return this.shapes.find(value, site)?.prototype !== getPrototypeOf(value);
  }

  // Called by `shape.write`, around the values. The answer is where the object's first word is, counted from that of
  // the message: `at` and `length` both move when a getter sends a message.
  begin(object, shape) {
    this.#enter(object);
    if (shape.number < 0) this.#define(shape);
    this.shapes.used(shape);
    this.words[this.at] = shape.number << 4 | OBJECT;
    return this.at++ - this.length;
  }

  end(head, absent) {
    if (this.absent !== absent) {
      this.absent = absent;
      this.words[this.length + head] |= SOME_ABSENT;
    }
    this.ancestors[--this.depth] = null;
  }

  #enter(value) {
    const { ancestors, depth } = this;
    for (let i = 0; i < depth; i++) if (ancestors[i] === value) throw CIRCULAR;
    if (this.at + 4 > this.words.length) this.grow(4);
    ancestors[depth] = value;
    this.depth = depth + 1;
  }

  #define(shape) {
    const { keys } = shape;
    if (this.at + keys.length + 4 > this.words.length) this.grow(keys.length + 4);
    this.words[this.at++] = keys.length << 3 | SHAPE;
    for (const key of keys) {
      this.words[this.at++] = key.length;
      this.own += key;
    }
    this.shapes.number(shape);
  }

  // What cannot be walked, after its toJSON has been read.
  odd(value, key, toJSON) {
    if (typeof toJSON === 'function') {
      value = apply(toJSON, value, [`${key}`]);
      if (value === null || (typeof value !== 'object' && typeof value !== 'function' && typeof value !== 'bigint')) return this.put(value, key, null);
      if (hasNoToJSON(value)) return this.branch(value, key, this.answers);
    }
    if (typeof value === 'function') return this.#leaveOut();
    let text;
    try {
      text = stringifyAnswer(value);
    } catch (error) {
      throw this.depth > 0 && isCircular(error) ? CIRCULAR : error;
    }
    return this.#putText(text);
  }

  #putText(text) {
    if (text === undefined) return this.#leaveOut();
    this.texts++;
    if (this.at + 1 > this.words.length) this.grow(1);
    this.words[this.at++] = text.length << 3 | JSON_TEXT;
    this.own += text;
    return undefined;
  }

  #leaveOut() {
    if (this.at + 1 > this.words.length) this.grow(1);
    this.words[this.at++] = ABSENT;
    this.absent++;
  }
}

module.exports = { Encoder, WARM_UP };
