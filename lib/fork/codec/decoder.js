'use strict';
// A batch of words and text (format.js) back to messages.
//
// The transport keeps batches whole and in order, but the peer may be anybody: nothing in a batch makes this run code
// of the peer, recurse or allocate beyond what the batch's size allows, or touch a prototype. It throws instead, with
// the codes of any other malformed message.

const { rsipc } = require('../../errors.js');
const { Generated } = require('./generated.js');
const {
  INTEGER, STRING, DOUBLE, OBJECT, SOME_ABSENT, ARRAY, JSON_TEXT, SHAPE, NULL, FALSE, TRUE, EMPTY, ABSENT, SAME, FORGET,
  SHORT, RECENT, ELEMENTS, MAX_SHAPES, MAX_KEYS, MAX_KEY, MAX_NESTING, USES_TO_GENERATE, MAX_GENERATED,
} = require('./format.js');

const { parse, stringify } = JSON;
const { defineProperty, prototype: plain } = Object;

// A string of SHORT characters or more that is cut out of a text keeps that whole text alive. So they are cut out of
// copies of this many characters at most; longer ones are copied by themselves.
const PIECE = 512;

const NO_WORDS = new Int32Array(0);

const double = new Float64Array(1);
const halves = new Int32Array(double.buffer);

const malformed = (what) => rsipc.protocol('ERR_RSIPC_MALFORMED_FRAME', `a batch of messages is malformed: ${what}`);
const tooDeep = (limit) => rsipc.protocol('ERR_RSIPC_TOO_DEEP', `a message is nested deeper than ${limit} levels`);

// The same characters in memory of their own, behind one that is not used: what V8 makes of a sum it lays out anew.
const copyOf = (text) => ` ${text}`;

// What has been at a key, or is a message: the newest short strings of arrays there.
class Site {
  constructor() {
    this.elements = null;
  }
}

// The value of a shape's key, which may be the recent string.
function valueAt(decoder, recent, sites, i) {
  const word = decoder.words[decoder.at];
  if ((word & 7) === INTEGER) {
    decoder.at++;
    return word >> 3;
  }
  if (word === SAME) {
    decoder.at++;
    const value = recent[i];
    decoder.repeated += value.length;
    return value;
  }
  const value = decoder.value(sites[i]);
  if ((word & 7) === STRING && word >>> 3 < RECENT) recent[i] = value;
  return value;
}

// `read(decoder, shape)`. An object with all keys is copied rather than begun with none: then a key means the
// object's own in any case, whatever is in Object.prototype.
function loop(decoder, { keys, recent, sites, template }) {
  const object = template === null ? withKeys(keys) : { ...template };
  for (let i = 0; i < keys.length; i++) object[keys[i]] = valueAt(decoder, recent, sites, i);
  return object;
}

const withKeys = (keys) => parse(`{${keys.map((key) => `${stringify(key)}:0`).join()}}`);

// What may be an array's index. An object into which 1000 is put gets room for all numbers up to it; one that a literal
// or JSON.parse has made does not.
const isNumber = (key) => key >= '0' && key < ':';

// The keys are quoted by JSON.stringify, and none is __proto__: they can be nothing but names.
function generate(keys) {
  const members = keys.map((key, i) => `${stringify(key)}: valueAt(decoder, recent, sites, ${i})`);
  return new Function('valueAt', `'use strict';
return function read(decoder, { recent, sites }) {
  return { ${members.join(', ')} };
};`)(valueAt);
}

const readers = new Generated(generate);

class Shape {
  constructor(keys) {
    this.keys = keys;
    this.size = keys.length;
    this.uses = 0;
    this.recent = keys.map(() => '');
    this.sites = keys.map(() => new Site());
    this.read = readers.find(keys) ?? loop;
    this.numbered = keys.some(isNumber);
    this.template = this.numbered || this.read !== loop ? null : withKeys(keys);
  }

  // An object without some of the keys.
  readPart(decoder) {
    const { keys, recent, sites } = this;
    const values = [];
    const present = [];
    for (let i = 0; i < keys.length; i++) {
      const value = valueAt(decoder, recent, sites, i);
      if (value === undefined) continue;
      values.push(value);
      present.push(keys[i]);
    }
    return this.#build(present, values);
  }

  #build(keys, values) {
    const object = this.numbered ? withKeys(keys) : {};
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i];
      if (key in plain) defineProperty(object, key, { value: values[i], writable: true, enumerable: true, configurable: true });
      else object[key] = values[i];
    }
    return object;
  }
}

class Decoder {
  constructor({ maxDepth }) {
    this.maxDepth = maxDepth;
    this.nesting = Math.min(maxDepth, MAX_NESTING);
    this.shapes = [];
    this.site = new Site();
    this.longestKey = 0; // of all shapes so far
    this.generated = 0;
    this.#begin(NO_WORDS, 0, '');
  }

  #begin(words, length, text) {
    this.words = words;
    this.length = length;
    this.at = 0;
    this.text = text;
    this.cursor = 0;
    this.repeated = 0; // characters of strings that were there before
    this.depth = 0;
    this.piece = '';
    this.pieceFrom = 0;
    this.pieceTo = 0;
  }

  // Calls `deliver(message, size)` for each message, `size` being about its bytes, with strings that were there before. When a batch is malformed, what is
  // before the fault is delivered and then an error thrown; there is no going on after that. When `deliver` throws,
  // the other messages are delivered and then the first such error is thrown. It must not decode anything here.
  decode(words, length, text, deliver) {
    let failed = false;
    let failure;
    this.#begin(words, length, text);
    try {
      if (!(length <= words.length)) throw malformed('it is shorter than it says');
      while (this.at < length) {
        const { at, cursor, repeated } = this;
        const message = this.value(this.site);
        if (this.at > length) throw malformed('it ends inside a value');
        try {
          deliver(message, (this.at - at) * 4 + this.cursor - cursor + this.repeated - repeated);
        } catch (error) {
          if (!failed) failure = error;
          failed = true;
        }
      }
      if (this.cursor !== text.length) throw malformed('text is left over');
    } catch (error) {
      failed = true;
      failure = error;
    }
    this.#begin(NO_WORDS, 0, ''); // keeps nothing alive
    if (failed) throw failure;
  }

  // Reading behind `length` finds zeros or what an older batch has left, which does no harm: each array, object and
  // text is held against what remains, and in the end `at` tells.
  value(site) {
    for (;;) {
      const word = this.words[this.at++];
      switch (word & 7) {
        case INTEGER:
          return word >> 3;
        case STRING:
          return this.#string(word >>> 3);
        case DOUBLE:
          return this.#double();
        case OBJECT:
          return this.#object(word);
        case ARRAY:
          return this.#array(word >>> 3, site);
        case JSON_TEXT:
          return this.#json(word >>> 3);
        case SHAPE:
          this.#shape(word >>> 3);
          break;
        default:
          switch (word) {
            case NULL:
              return null;
            case TRUE:
              return true;
            case FALSE:
              return false;
            case EMPTY:
              return {};
            case ABSENT:
              return undefined;
            case FORGET:
              this.shapes = [];
              this.site.elements = null;
              break;
            default:
              throw malformed('an unknown constant');
          }
      }
    }
  }

  // Takes characters of the text: answers where they begin.
  #take(count) {
    const from = this.cursor;
    if (count > this.text.length - from) throw malformed('its text is too short');
    this.cursor = from + count;
    return from;
  }

  #string(length) {
    const from = this.#take(length);
    const to = from + length;
    const { text } = this;
    if (length < SHORT || length * 2 > text.length) return text.slice(from, to);
    if (length > PIECE / 2) return copyOf(text.slice(from, to)).slice(1);
    if (to > this.pieceTo) {
      this.pieceFrom = from - 1;
      this.pieceTo = Math.min(from + PIECE, text.length);
      this.piece = copyOf(text.slice(from, this.pieceTo));
    }
    return this.piece.slice(from - this.pieceFrom, to - this.pieceFrom);
  }

  #double() {
    halves[0] = this.words[this.at];
    halves[1] = this.words[this.at + 1];
    this.at += 2;
    const value = double[0];
    if (value - value !== 0) throw malformed('a number that is none');
    return value;
  }

  #enter(count) {
    if (count > this.length - this.at) throw malformed('it ends inside a value');
    if (++this.depth > this.nesting) throw this.nesting === this.maxDepth ? tooDeep(this.maxDepth) : malformed('values are nested too deep');
  }

  #object(word) {
    const shape = this.shapes[word >>> 4];
    if (shape === undefined) throw malformed('an unknown shape');
    this.#enter(shape.size);
    if (++shape.uses === USES_TO_GENERATE && shape.read === loop && this.generated < MAX_GENERATED) {
      this.generated++;
      shape.read = readers.make(shape.keys) ?? loop;
    }
    const object = (word & SOME_ABSENT) === 0 ? shape.read(this, shape) : shape.readPart(this);
    this.depth--;
    return object;
  }

  #array(length, site) {
    this.#enter(length);
    const list = [];
    for (let i = 0; i < length; i++) {
      const word = this.words[this.at];
      if ((word & 7) === INTEGER) {
        this.at++;
        list.push(word >> 3);
      } else if (((word & 7) === STRING || word === SAME) && i < ELEMENTS) list.push(this.#textAt(word, i, site));
      else list.push(this.value(site));
    }
    this.depth--;
    return list;
  }

  // A string among the first of an array, which may be the recent one there.
  #textAt(word, i, site) {
    const elements = site.elements ??= new Array(ELEMENTS).fill('');
    this.at++;
    if (word === SAME) {
      const text = elements[i];
      this.repeated += text.length;
      return text;
    }
    const text = this.#string(word >>> 3);
    if (word >>> 3 < SHORT) elements[i] = text;
    return text;
  }

  #json(length) {
    const from = this.#take(length);
    const { text } = this;
    const piece = text.slice(from, from + length);
    const limit = this.maxDepth - this.depth;
    if (length > 2 * limit && exceedsDepth(piece, text, from, limit)) throw tooDeep(this.maxDepth);
    try {
      return parse(piece);
    } catch {
      throw malformed('a piece of it is not JSON');
    }
  }

  #shape(count) {
    if (this.shapes.length === MAX_SHAPES || count === 0 || count > MAX_KEYS || count > this.length - this.at) throw malformed('a shape that may not be');
    const keys = [];
    for (let i = 0; i < count; i++) {
      const length = this.words[this.at++];
      if (!(length >= 0 && length <= MAX_KEY)) throw malformed('a key that may not be');
      const from = this.#take(length);
      const key = copyOf(this.text.slice(from, from + length)).slice(1);
      if (key === '__proto__') throw malformed('a key that may not be');
      keys.push(key);
      if (length > this.longestKey) this.longestKey = length;
    }
    this.shapes.push(new Shape(keys));
  }
}

// Whether a piece of JSON in `text` nests deeper than `limit`. What is not JSON, JSON.parse finds. Most JSON is known not
// to by its brackets alone, wherever they stand: at the deepest place `limit` open ones are before it, and as many
// closing ones behind it.
function exceedsDepth(piece, text, from, limit) {
  const open = nth(piece, '[', '{', 0, limit + 1);
  if (open === -1 || nth(piece, ']', '}', open, limit + 1) === -1) return false;
  return nests(text, from, from + piece.length, limit);
}

// Where the `count`th of two characters is, from `start` on.
function nth(piece, one, other, start, count) {
  let a = piece.indexOf(one, start);
  let b = piece.indexOf(other, start);
  for (let n = 1; a !== -1 || b !== -1; n++) {
    const first = b === -1 || (a !== -1 && a < b);
    if (n === count) return first ? a : b;
    if (first) a = piece.indexOf(one, a + 1);
    else b = piece.indexOf(other, b + 1);
  }
  return -1;
}

function nests(text, from, to, limit) {
  let depth = 0;
  for (let i = from; i < to; i++) {
    switch (text.charCodeAt(i)) {
      case 0x5b: // [
      case 0x7b: // {
        if (++depth > limit) return true;
        break;
      case 0x5d: // ]
      case 0x7d: // }
        depth--;
        break;
      case 0x22: // "
        i = endOfString(text, i, to);
        break;
      default:
    }
  }
  return false;
}

// Where the string that begins at `from` ends: at the next quote that has an even number of backslashes before it.
function endOfString(text, from, to) {
  for (let end = text.indexOf('"', from + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let start = end;
    while (text.charCodeAt(start - 1) === 0x5c) start--;
    if ((end - start) % 2 === 0) return end;
  }
  return to;
}

module.exports = { Decoder };
