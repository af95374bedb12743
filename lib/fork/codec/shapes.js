'use strict';
// The encoder's shapes: which sequences of keys the peer knows, and how an object of each is written.
//
// A sequence that is met for the first time is only noted, in a tree with a node for each key; from the second time on
// it is a shape. Looking at keys runs no code of the user, so all of this is decided before any of it runs.

const { types: { isBoxedPrimitive, isProxy } } = require('node:util');
const { Generated } = require('./generated.js');
const { EMPTY, MAX_SHAPES, MAX_KEYS, MAX_KEY, USES_TO_GENERATE, MAX_GENERATED } = require('./format.js');

const { getPrototypeOf, prototype: plain } = Object;

const MAX_NODES = 8192;

// Noting keys costs more than writing them as text does. So it is done on credit, which comes back when a sequence is
// met again, and otherwise slowly: one key for so many messages. It is counted in messages.
const MESSAGES_PER_KEY = 16;
const CREDIT = 2048 * MESSAGES_PER_KEY;

const TRIES = 4;
const SELDOM = 64;

// Where values of one kind come from: a key of a shape, or the channel. The next one there has probably the shape of
// the last one.
class Site {
  constructor() {
    this.guess = null;
    this.skip = 0; // so many objects are not looked at, as one had far too many keys
    this.elements = null; // the newest short strings of arrays, if the peer has them
  }
}

// Somebody has given all objects with this prototype an enumerable key; `bare` has none of its own.
function keysAreInherited(bare) {
  for (const key in bare) return key !== undefined;
  return false;
}
const bare = {};

class Shape {
  constructor(keys, prototype) {
    this.keys = keys;
    this.prototype = prototype; // of its objects
    this.bare = prototype === plain ? bare : Object.create(prototype);
    this.safe = prototype === plain && keys[0] !== '0'; // the characters of a String have the keys of an array
    this.number = -1; // the peer's number for it; -1: it does not know it
    this.uses = 0;
    this.recent = keys.map(() => null); // the newest string of each key, if the peer has it and this end keeps it
    this.kept = keys.map(() => 0); // how often there was a new one worth keeping, for each key
    this.sites = keys.map(() => new Site());
    this.write = writers.find(keys) ?? loop;
  }

  // The peer has other recent strings, or none.
  forgetStrings() {
    this.recent.fill(null);
    for (const site of this.sites) site.elements = null;
  }

  // Whether an object with these keys is one of this shape, which has them itself. `write` asks for the prototype too,
  // where V8 knows it: that is enough for plain ones.
  fits(object) {
    const { prototype } = this;
    if (this.safe) return !keysAreInherited(bare);
    return getPrototypeOf(object) === prototype && !isBoxedPrimitive(object) && !keysAreInherited(this.bare);
  }

  // What to keep of a string that V8 may have cut out of a large text: a copy, as that text would stay. Null where there
  // was a new string so often that copying does not pay; even there, one is tried now and then.
  copyToKeep(string, i) {
    const times = this.kept[i]++;
    return times < TRIES || times % SELDOM === 0 ? JSON.parse(JSON.stringify(string)) : null;
  }
}

// `write` of a shape: the object, with all that is in it.
function loop(encoder, object, key, shape) {
  const { toJSON } = object;
  if (toJSON !== undefined || getPrototypeOf(object) !== shape.prototype) return encoder.odd(object, key, toJSON);
  const { keys } = shape;
  const { absent } = encoder;
  const head = encoder.begin(object, shape);
  for (let i = 0; i < keys.length; i++) encoder.member(object[keys[i]], i, shape);
  return encoder.end(head, absent);
}

// The same with the loop unrolled, so that V8 knows the object's layout: reading its keys, and the two questions, cost
// next to nothing. What is done with a value is left to `member`: V8 compiles that once, and this soon.
function generate(keys) {
  const steps = keys.map((key, i) => `
  encoder.member(object[${JSON.stringify(key)}], ${i}, shape);`);
  return new Function('getPrototypeOf', `'use strict';
return function write(encoder, object, key, shape) {
  const { toJSON } = object;
  if (toJSON !== undefined || getPrototypeOf(object) !== shape.prototype) return encoder.odd(object, key, toJSON);
  const { absent } = encoder;
  const head = encoder.begin(object, shape);${steps.join('')}
  return encoder.end(head, absent);
};`)(getPrototypeOf);
}

const writers = new Generated(generate);

// {}. A Number made to look like one is none, and an object without keys cannot be told from it by them.
const empty = new Shape([], plain);
empty.number = 0; // it needs none
empty.write = function write(encoder, object, key) {
  const { toJSON } = object;
  if (toJSON !== undefined || getPrototypeOf(object) !== plain || isBoxedPrimitive(object)) encoder.odd(object, key, toJSON);
  else encoder.words[encoder.at++] = EMPTY;
};

// What begins with the same keys. Most nodes have one next key; `more` is for those that have several, `key` and
// `next` are the newest of them.
class Node {
  constructor() {
    this.key = null;
    this.next = null;
    this.more = null;
    this.seen = false;
    this.shape = null; // of plain objects
    this.instances = null; // and of those of the first class that has these keys
  }

  child(key) {
    if (this.more === null) return this.key === key ? this.next : undefined;
    const next = this.more.get(key);
    if (next === undefined) return undefined;
    this.key = key;
    this.next = next;
    return next;
  }

  insert(key) {
    const next = new Node();
    if (this.key !== null) {
      this.more ??= new Map([[this.key, this.next]]);
      this.more.set(key, next);
    }
    this.key = key;
    this.next = next;
    return next;
  }
}

// `__proto__` is what an object literal takes for something else. Keys that look like numbers stand in front in every
// object, whoever made it, so they may be in a shape.
function isOrdinary(key) {
  return key.length <= MAX_KEY && key !== '__proto__';
}

class Shapes {
  constructor() {
    this.root = new Node();
    this.nodes = 0;
    this.known = []; // what the peer knows, by number
    this.sure = 0; // so many of them were in messages that were written to the end
    this.generated = 0;
    this.credit = CREDIT;
    this.strange = false; // the object that was looked at last has keys that are not noted
  }

  // Once a message.
  earn() {
    if (this.credit < CREDIT) this.credit++;
  }

  // The shape to write `object` with, or null: it goes as JSON text. Runs no code of the user, unless it is a Proxy.
  find(object, site) {
    const { guess } = site;
    if (guess !== null && guess.number >= 0) {
      const { keys } = guess;
      let i = 0;
      for (const key in object) {
        if (key !== keys[i]) {
          i = -1;
          break;
        }
        i++;
      }
      if (i === keys.length && guess.fits(object)) return guess;
    }
    const shape = this.search(object);
    if (shape !== null) site.guess = shape;
    return shape;
  }

  search(object) {
    let node = this.root;
    let count = 0;
    this.strange = true;
    let rest = null; // from the first key on that no node has
    for (const key in object) {
      count++;
      if (rest !== null) {
        if (count > MAX_KEYS || !isOrdinary(key)) return null;
        rest.push(key);
      } else if (node.key === key) node = node.next;
      else {
        const next = node.child(key);
        if (next !== undefined) node = next;
        else if (this.credit >= MESSAGES_PER_KEY && isOrdinary(key)) rest = [key];
        else return null;
      }
    }
    if (count > MAX_KEYS) return null;
    this.strange = false;
    if (count === 0) return empty;
    if (rest !== null) {
      const costs = rest.length * MESSAGES_PER_KEY;
      if (this.credit < costs || this.isFull) return null;
      this.credit -= costs;
      for (const key of rest) node = node.insert(key);
      this.nodes += rest.length;
    }
    const prototype = getPrototypeOf(object);
    let shape = prototype === plain ? node.shape : node.instances;
    if (shape === null) {
      if (!node.seen) {
        node.seen = true;
        return null;
      }
      if (this.isFull || isProxy(prototype)) return null;
      const keys = Object.keys(object);
      if (keys.length !== count) return null; // some are inherited
      if (prototype === null && count === 1 && keys[0] === 'rawJSON') return null; // perhaps of JSON.rawJSON: a text as it is
      shape = new Shape(keys, prototype);
      if (prototype === plain) node.shape = shape;
      else node.instances = shape;
    }
    if (!shape.fits(object)) return null;
    if (shape.number < 0) {
      if (this.isFull) return null;
      this.credit = Math.min(this.credit + count * MESSAGES_PER_KEY, CREDIT);
    }
    return shape;
  }

  get isFull() {
    return this.known.length === MAX_SHAPES || this.nodes >= MAX_NODES;
  }

  number(shape) {
    this.known.push(shape);
    shape.number = this.known.length - 1; // last: `undo` must see it wherever the stack overflows
  }

  used(shape) {
    if (++shape.uses !== USES_TO_GENERATE || shape.write !== loop || this.generated === MAX_GENERATED) return;
    this.generated++;
    shape.write = writers.make(shape.keys) ?? loop;
  }

  // The message will not be sent: the peer does not learn its shapes, and has other recent strings.
  undo() {
    for (const shape of this.known) shape.forgetStrings();
    while (this.known.length > this.sure) this.known.pop().number = -1;
  }

  clear() {
    for (const shape of this.known) shape.number = -1;
    this.root = new Node();
    this.nodes = 0;
    this.known = [];
    this.sure = 0;
    this.credit = CREDIT;
  }
}

module.exports = { Shapes, Site };
