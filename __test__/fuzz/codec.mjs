// The codec against JSON: `node __test__/fuzz/codec.mjs [COUNT] [SEED]`, or `SECONDSs` for a time instead of a count.
//
// Random values, nasty ones among them, travel in batches of random size through an encoder and a decoder that live
// as long as the program. What arrives, or is thrown, must be what JSON makes of the same value: structure, order of
// keys, prototypes, the user's code run as often and in the same order, what it sends meanwhile. Every few batches a
// damaged copy goes to a decoder of its own, which may answer anything, or throw its error, but must come back.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { Encoder, WARM_UP } = require('../../lib/fork/codec/encoder.js');
const { Decoder } = require('../../lib/fork/codec/decoder.js');

const amount = process.argv[2] ?? '100000';
const seconds = amount.endsWith('s') ? Number(amount.slice(0, -1)) : Infinity;
const count = amount.endsWith('s') ? Infinity : Number(amount);
const seed = Number(process.argv[3] ?? Date.now() % 2 ** 31);
console.log(`seed ${seed}`);

// mulberry32
let state = seed | 0;
function random() {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}
const below = (n) => Math.floor(random() * n);
const pick = (list) => list[below(list.length)];

// What the user's code was seen to do, in order.
let trace = [];
const note = (what, answer) => {
  trace.push(what);
  return answer;
};

// What a getter that sends a message does with it.
let send;

const CHARACTERS = ['a', 'b', 'z', '"', '\\', '\n', '\0', 'é', 'ÿ', 'Ā', '中', '\u2028', '\ud83d\ude00', '\ud83d', '\ude00', '[', '{', '}'];
function text() {
  const length = pick([0, 1, 3, 8, 12, 13, 14, 30, 200, random() < 0.02 ? 3000 : 5]);
  if (random() < 0.5) return 'abcdefghijklmnopqrstuvwxyz'.repeat(120).slice(below(26)).slice(0, length);
  let result = '';
  while (result.length < length) result += pick(CHARACTERS);
  return result;
}
const NUMBERS = [0, -0, 1, -1, 2 ** 28 - 1, 2 ** 28, -(2 ** 28), -(2 ** 28) - 1, 2 ** 31 - 1, 2 ** 31, -(2 ** 31), 2 ** 32, 2 ** 53, 0.1, -1.5, 5e-324, 1.7976931348623157e308, NaN, Infinity, -Infinity, 1e21, 1e-7];
const number = () => (random() < 0.5 ? below(1000) : random() < 0.5 ? (random() - 0.5) * 10 ** below(40) : pick(NUMBERS));
const NAMES = ['a', 'b', 'c', 'id', 'kind', 'name', 'x', 'y', 'value', 'toString', 'constructor', 'hasOwnProperty', '', 'é', '中', '\ud800', 'with space', '"quoted"', "it's", '\u2028', '*/', '${x}', '`', 'length'];
const RARE_NAMES = ['__proto__', 'toJSON', '0', '1', '-1', '01', '4294967294', '4294967295', '1.5', 'k'.repeat(128), 'k'.repeat(129)];
const INDICES = ['0', '1', '2', '9', '33', '1000', '-0', '-1', '01', '1.5', '1e3', '4294967294', '4294967295', '9007199254740993'];
const name = () => (random() < 0.95 ? pick(NAMES) : random() < 0.6 ? pick(RARE_NAMES) : text());

function define(object, key, value) {
  if (key === '__proto__') return Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
  object[key] = value;
  return object;
}
function fill(object, depth, most = 8) {
  for (let n = below(most); n > 0; n--) define(object, name(), value(depth - 1));
  return object;
}
// Like real messages: a few layouts come again and again.
const LAYOUTS = Array.from({ length: 40 }, () => Array.from({ length: 1 + below(8) }, () => pick(NAMES)));
for (let n = 0; n < 12; n++) LAYOUTS.push(Array.from({ length: 1 + below(6) }, () => pick([pick(INDICES), pick(INDICES), pick(NAMES)])));
LAYOUTS.push(['0', '1', '2']); // as those of a list or a String
function layout(depth) {
  const object = {};
  for (const key of pick(LAYOUTS)) define(object, key, value(depth - 1));
  return object;
}
function list(depth) {
  const length = pick([0, 1, 2, 3, 9, 12]);
  if (random() < 0.3) {
    const keys = pick(LAYOUTS);
    return Array.from({ length }, () => keys.reduce((object, key) => define(object, key, plain()), {}));
  }
  return Array.from({ length }, () => value(depth - 1));
}

class Point {
  constructor() {
    this.x = number();
    this.y = plain();
  }
}
class Told {
  #what;
  constructor(what) {
    this.#what = what;
    this.a = 1;
  }

  toJSON(...args) {
    note(['toJSON', typeof args[0], args[0], args.length]);
    return this.#what;
  }
}

// Of classes whose objects have the keys of plain ones, too.
const CLASSES = [
  class {},
  class { method() {} get a() { return note('a getter of the class', 1); } },
  class { toJSON(key) { return note(['class', key], { ...this }); } },
  class extends Point {},
  Object.assign(function Old() {}, { prototype: { method() {} } }), // which is enumerable
  Object.assign(function Same() {}, { prototype: { a: 1 } }),
].map((Class) => Class.prototype);
CLASSES.push(null, Object.create(null), Object.create({ a: 1 }));
function instance(depth) {
  const object = random() < 0.1 ? Object(number()) : {};
  for (const key of pick(LAYOUTS)) define(object, key, value(depth - 1));
  return Object.setPrototypeOf(object, pick(CLASSES));
}

const plain = () => pick([number, text, () => true, () => false, () => null])();

const ODD = [
  () => undefined,
  () => Symbol('s'),
  () => function f() {},
  () => Object.assign(() => {}, { toJSON: (key) => note(['function', key], 'f') }),
  () => new Date(below(2 ** 31)),
  () => new Date(NaN),
  () => Object.assign(Object.create(null), { a: plain() }),
  () => new Point(),
  instance,
  (depth) => new Told(value(depth - 1)),
  (depth) => { // own, enumerable toJSON
    const object = layout(1);
    const answer = value(depth - 1);
    object.toJSON = function toJSON(key) {
      note(['own', key, this === object]);
      return answer;
    };
    return object;
  },
  () => Object.defineProperty(layout(1), 'toJSON', { value: () => 'hidden', enumerable: false }),
  () => Object.assign(layout(1), { toJSON: plain() }),
  () => { // answers itself
    const object = layout(1);
    return Object.defineProperty(object, 'toJSON', { value: () => note('self', object) });
  },
  (depth) => { // getters, of keys that plain objects have too
    const object = {};
    for (const key of pick(LAYOUTS)) {
      const answer = value(depth - 1);
      Object.defineProperty(object, key, { get: () => note(['get', key], answer), enumerable: true, configurable: true });
    }
    return object;
  },
  () => { // a getter that changes what comes after it
    const keys = pick(LAYOUTS);
    const object = {};
    Object.defineProperty(object, keys[0], {
      get() {
        note('change');
        delete object[keys.at(-1)];
        object.added = 1;
        return 5;
      },
      enumerable: true,
      configurable: true,
    });
    for (const key of keys.slice(1)) if (key !== keys[0]) define(object, key, 1);
    return object;
  },
  (depth) => { // a getter that sends another message
    const object = layout(1);
    const [message, likewise] = again(() => layout(depth - 1));
    return Object.defineProperty(object, pick(NAMES), {
      get() {
        note('send');
        try {
          send(message, likewise);
        } catch {
          // as JSON refused it
        }
        return 1;
      },
      enumerable: true,
      configurable: true,
    });
  },
  () => { // a getter that throws
    const object = layout(1);
    const error = new Error('getter');
    return Object.defineProperty(object, pick(NAMES), { get() { note('throw'); throw error; }, enumerable: true, configurable: true });
  },
  () => new Told(10n),
  () => 10n,
  () => Object(1n),
  () => Object(number()),
  () => Object(text()),
  () => Object(random() < 0.5),
  () => Object.assign(Object(4), { valueOf: () => note('valueOf', 7) }),
  () => Object.setPrototypeOf(Object(4), Object.prototype),
  () => Object.setPrototypeOf(Object('abc'), Object.prototype),
  () => Object(Symbol('boxed')),
  () => new Map([[1, 2]]),
  () => new Set([1]),
  () => new Uint8Array([1, 2, 3]),
  () => Buffer.from('abc'),
  () => new Float64Array([0.5, NaN]),
  () => /x/g,
  () => new Error('e'),
  () => Promise.resolve(),
  () => new ArrayBuffer(4),
  () => globalThis.Math,
  () => (function args() { return arguments; })(1, 2),
  () => Object.assign([1, 2, 3], { extra: 1 }),
  () => { // holes
    const holes = [1];
    holes[below(40) + 2] = plain();
    return holes;
  },
  () => Object.setPrototypeOf([1, 2], null),
  () => new (class extends Array {})(1, 2, 3),
  () => { // an element with a getter
    const elements = Array.from({ length: pick([2, 12]) }, () => layout(1));
    return Object.defineProperty(elements, below(2), { get: () => note('element', 1), enumerable: true });
  },
  () => { // one that shortens its array
    const elements = Array.from({ length: 12 }, plain);
    return Object.defineProperty(elements, 1, { get: () => { elements.length = 5; return 1; }, enumerable: true });
  },
  (depth) => watched(random() < 0.3 ? list(depth - 1) : layout(depth - 1)),
  () => watched(Object.assign(() => {}, { a: 1 })),
  () => { // a list that lies about its length
    const length = pick([-1, 2.7, '3', null, NaN, undefined, { valueOf: () => note('length', 2) }, 1n]);
    return new Proxy([1, 2, 3, 4], { get: (target, key) => note(['get', String(key)], key === 'length' ? length : target[key]) });
  },
  () => {
    const { proxy, revoke } = Proxy.revocable(random() < 0.5 ? {} : [], {});
    revoke();
    return proxy;
  },
  (depth) => Object.assign(layout(depth - 1), { [Symbol('s')]: 1 }),
  (depth) => Object.defineProperty(layout(depth - 1), 'hidden', { value: 1, enumerable: false }),
  () => Object.freeze(layout(1)),
  () => Object.create(layout(1)),
  () => Object.setPrototypeOf(layout(1), { inherited: 1 }),
  () => Object.setPrototypeOf(layout(1), null),
  () => JSON.parse('{"__proto__":{"polluted":true},"a":1}'),
  () => fill({}, 1, 80),
  () => Object.fromEntries(Array.from({ length: pick([63, 64, 65, 200]) }, (_, i) => [`k${i}`, i])),
  () => Object.fromEntries(Array.from({ length: 5 }, () => [`key${below(1e9)}`, plain()])),
  () => Object.fromEntries(Array.from({ length: 5 }, () => [below(100), plain()])),
  (depth) => { // cycles
    const object = layout(depth - 1);
    object[pick(['self', 'a'])] = random() < 0.5 ? object : [{ x: object }];
    return object;
  },
  () => { // a cycle through what is no plain object
    const object = { a: 1 };
    object.point = Object.assign(new Point(), { back: object });
    return object;
  },
  (depth) => { // the same twice is no cycle
    const shared = layout(depth - 1);
    return { a: shared, b: [shared, shared] };
  },
  () => {
    let deep = pick([1, 'end', {}]);
    for (let n = pick([30, 31, 32, 33, 100]); n > 0; n--) deep = random() < 0.5 ? [deep] : { a: deep };
    return deep;
  },
];
if (JSON.rawJSON !== undefined) ODD.push(() => JSON.rawJSON('12345678901234567890'), () => ({ a: JSON.rawJSON('"raw"') }));

// Notes what is asked of it. An empty handler is a Proxy too.
function watched(target) {
  if (random() < 0.3) return new Proxy(target, {});
  return new Proxy(target, {
    get: (object, key, receiver) => note(['get', String(key)], Reflect.get(object, key, receiver)),
    ownKeys: (object) => note('ownKeys', Reflect.ownKeys(object)),
    getOwnPropertyDescriptor: (object, key) => note(['gopd', String(key)], Reflect.getOwnPropertyDescriptor(object, key)),
    getPrototypeOf: (object) => note('getPrototypeOf', Reflect.getPrototypeOf(object)),
    has: (object, key) => note('has', Reflect.has(object, key)),
  });
}

function value(depth) {
  const dice = random();
  if (depth <= 0 || dice < 0.35) return plain();
  if (dice < 0.6) return layout(depth);
  if (dice < 0.75) return list(depth);
  if (dice < 0.82) return fill({}, depth);
  if (dice < 0.97) return plain();
  return pick(ODD)(depth);
}

// The same value again: made from the same place in the row of random numbers.
function again(make) {
  const kept = state;
  const first = make();
  state = kept;
  return [first, make()];
}

// Whether `x` is the parsed JSON `y` is.
function same(x, y) {
  if (typeof y !== 'object' || y === null) return Object.is(x, y);
  if (typeof x !== 'object' || x === null || Object.getPrototypeOf(x) !== Object.getPrototypeOf(y)) return false;
  const keys = Reflect.ownKeys(y);
  const mine = Reflect.ownKeys(x);
  if (mine.length !== keys.length) return false;
  for (let i = 0; i < keys.length; i++) if (mine[i] !== keys[i] || !same(x[keys[i]], y[keys[i]])) return false;
  return true;
}

// Everything that can be told about parsed JSON, as text.
function picture(x) {
  if (typeof x === 'number') return Object.is(x, -0) ? '-0' : String(x);
  if (typeof x === 'string') return `"${x}"`;
  if (x === null || typeof x === 'boolean') return String(x);
  if (typeof x !== 'object') return `not JSON: ${typeof x}`;
  const isList = Array.isArray(x);
  if (Object.getPrototypeOf(x) !== (isList ? Array.prototype : Object.prototype) || !Object.isExtensible(x)) return 'odd prototype';
  const parts = [];
  for (const key of Reflect.ownKeys(x)) {
    const { value: member, writable, enumerable, configurable } = Object.getOwnPropertyDescriptor(x, key);
    if (isList && key === 'length') parts.push(`length ${member}`);
    else parts.push(writable && enumerable && configurable ? `"${String(key)}": ${picture(member)}` : `odd member ${String(key)}`);
  }
  return isList ? `[${parts}]` : `{${parts}}`;
}

function attempt(run) {
  trace = [];
  let outcome;
  try {
    outcome = { result: run() };
  } catch (error) {
    outcome = { error };
  }
  return { ...outcome, trace: JSON.stringify(trace) };
}

// A cycle is worded by JSON.stringify, which then looks at the value a second time: its code runs twice.
const isCycle = (error) => error instanceof TypeError && error.message.startsWith('Converting circular');

// A peer's batches, damaged.
const stranger = {
  runs: 0,
  refused: 0,
  decoder: new Decoder({ maxDepth: 512 }),
  take(words, length, message) {
    const damaged = Int32Array.from(words.subarray(0, length + below(3)));
    const size = Math.max(0, Math.min(damaged.length, length + pick([0, 0, 0, -1, 1])));
    for (let n = below(4); n > 0 && length > 0; n--) {
      const at = below(length);
      damaged[at] = pick([
        () => damaged[below(length)],
        () => damaged[at] ^ (1 << below(32)),
        () => (below(64) << 3) | below(8),
        () => below(2 ** 32) | 0,
        () => damaged[at] + pick([-8, 8]),
        () => (below(9) << 3) | 3,
      ])();
    }
    let told = message;
    if (random() < 0.3) told = message.slice(0, below(message.length + 1));
    else if (random() < 0.2) told = message.replaceAll(pick(['"', '}', ',', 'a', 'e']), pick(['', '[', '"', '__proto__']));
    this.runs++;
    try {
      this.decoder.decode(damaged, size, told, picture);
    } catch (error) {
      assert.match(error.code ?? error.stack, /^ERR_RSIPC_(MALFORMED_FRAME|TOO_DEEP)$/);
      this.refused++;
      if (random() < 0.5) this.decoder = new Decoder({ maxDepth: 512 });
    }
    assert.equal({}.polluted, undefined);
    assert.equal(Object.keys(Object.prototype).length, 0);
  },
};

const encoder = new Encoder();
encoder.add('x'.repeat(WARM_UP));
encoder.reset();
const decoder = new Decoder({ maxDepth: 100_000 });
const started = Date.now();
const total = { values: 0, thrown: 0, nothing: 0, batches: 0, sent: 0 };

while (total.values < count && Date.now() - started < seconds * 1000) {
  const expected = [];
  const batchState = state;
  const inBatch = pick([1, 2, 5, 50]);
  const many = pick([0, 0, 0, 1]); // batches in which no object is like another
  for (let i = 0; i < inBatch; i++) {
    const kept = state;
    const [mine, theirs] = again(() => (many ? fill({}, 2) : value(1 + below(4))));
    send = (message) => JSON.stringify(message);
    const reference = attempt(() => JSON.stringify(theirs));
    const within = []; // what was sent by code of `mine`
    send = function sendMine(message, likewise) {
      const seen = trace;
      trace = [];
      send = () => {};
      let json;
      try {
        json = JSON.stringify(likewise);
      } catch {
        // and so does the encoder
      }
      trace = seen;
      send = sendMine;
      if (encoder.add(message)) within.push([json, `within seed ${seed}, value ${total.values}, state ${kept}`]);
    };
    const before = { count: encoder.count, length: encoder.length, text: encoder.text };
    const outcome = attempt(() => encoder.add(mine));
    const where = `seed ${seed}, value ${total.values}, state ${kept}`;
    total.values++;
    expected.push(...within);
    if ('error' in reference) {
      total.thrown++;
      assert.ok('error' in outcome, `JSON throws ${reference.error}, the encoder does not: ${where}`);
      assert.equal(String(outcome.error), String(reference.error), where);
      assert.equal(outcome.error?.constructor, reference.error?.constructor, where);
    } else {
      if ('error' in outcome) throw new Error(`the encoder throws, JSON does not: ${where}`, { cause: outcome.error });
      assert.equal(outcome.result, reference.result !== undefined, where);
      if (reference.result === undefined) total.nothing++;
      else expected.push([reference.result, where]);
    }
    if (!isCycle(reference.error)) assert.equal(outcome.trace, reference.trace, where);
    if (outcome.result !== true && within.length === 0) assert.deepEqual({ count: encoder.count, length: encoder.length, text: encoder.text }, before, where);
    assert.equal(encoder.size, encoder.length * 4 + encoder.text.length);
  }
  assert.equal(encoder.count, expected.length);
  const { words, length, text: sent } = encoder;
  const arrived = [];
  try {
    decoder.decode(words, length, sent, (message, size) => {
      assert.ok(size > 0);
      arrived.push(message);
    });
  } catch (error) {
    throw new Error(`seed ${seed}, a batch at value ${total.values}, state ${batchState}, cannot be read`, { cause: error });
  }
  assert.equal(arrived.length, expected.length);
  for (const [i, [json, where]] of expected.entries()) {
    const want = JSON.parse(json);
    if (!same(arrived[i], want) || random() < 0.05) assert.ok(picture(arrived[i]) === picture(want), `${picture(arrived[i]).slice(0, 5000)}\narrived instead of\n${picture(want).slice(0, 5000)}\n${where}`);
  }
  if (random() < 0.3) stranger.take(words, length, sent);
  total.batches++;
  total.sent += length * 4 + sent.length;
  encoder.reset();
}
const shaped = encoder.shapes.known.length;
console.log(`${total.values} values in ${total.batches} batches, ${(total.sent / 1e6).toFixed(1)} MB: equal; ${total.thrown} threw and ${total.nothing} were nothing, as with JSON; ${shaped} shapes; ${stranger.runs} damaged batches, ${stranger.refused} refused; ${Math.round((Date.now() - started) / 1000)} s`);
