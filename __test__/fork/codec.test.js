'use strict';
// The binary form of messages between two rsipc ends. __test__/fuzz/codec.mjs compares it with JSON at random.

const { test, describe } = require('node:test');
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const path = require('node:path');
const v8 = require('node:v8');
const vm = require('node:vm');
const { Encoder, WARM_UP } = require('../../lib/fork/codec/encoder.js');
const { Decoder } = require('../../lib/fork/codec/decoder.js');
const { bytesAbove, sureSize } = require('../../lib/fork/size.js');
const { STRING, OBJECT, ARRAY, JSON_TEXT, SHAPE, DOUBLE, FORGET, SAME, ELEMENTS, MAX_SHAPES, MAX_NESTING, USES_TO_GENERATE } = require('../../lib/fork/codec/format.js');

const FUZZ = path.join(__dirname, '../fuzz/codec.mjs');
const asJson = (value) => JSON.parse(JSON.stringify(value));

// Both ends of a channel.
class Pair {
  constructor() {
    this.encoder = new Encoder();
    this.decoder = new Decoder({ maxDepth: 512 });
    this.pass('x'.repeat(WARM_UP));
  }

  // What arrives of the batch so far.
  flush() {
    const { encoder, decoder } = this;
    const arrived = [];
    decoder.decode(encoder.words, encoder.length, encoder.text, (message) => arrived.push(message));
    encoder.reset();
    return arrived;
  }

  pass(message) {
    assert.equal(this.encoder.add(message), true);
    return this.flush()[0];
  }

  // How many words and characters `message` takes.
  cost(message) {
    this.encoder.add(message);
    const { length, text } = this.encoder;
    this.flush();
    return { words: length, characters: text.length };
  }
}

const event = (i) => ({ id: i, kind: 'event', ok: true, value: i + 0.5, name: `name ${i}`, none: null });

// A shape is known from the second time on, and later has a function of its own.
const TIMES = USES_TO_GENERATE + 4;

describe('what arrives', () => {
  test('is what JSON makes of it, whether the shape is new or known', () => {
    const pair = new Pair();
    for (let i = 0; i < TIMES; i++) {
      for (const message of [event(i), [event(i), event(-i)], { at: event(i), list: [[i, [i]], 'x', {}] }, i, i / 3, `${i}`, true, null, []]) {
        assert.deepEqual(pair.pass(message), asJson(message));
      }
    }
  });

  test('has its keys in JSON\'s order', () => {
    const pair = new Pair();
    for (let i = 0; i < TIMES; i++) {
      for (const message of [{ b: 1, a: 2 }, { a: 2, b: 1 }, { b: 1, 1: 2, 0: 3, '-1': 4 }]) {
        assert.deepEqual(Object.keys(pair.pass(message)), Object.keys(asJson(message)));
      }
    }
  });

  test('has keys that look like numbers where JSON has them', () => {
    const pair = new Pair();
    for (let i = 0; i < TIMES; i++) {
      for (const message of [
        { b: i, 7: 1, 0: 2, '01': 3, '-0': 4, '1.5': 5, a: 6 }, { x: i, 4294967295: 1, 4294967294: 2, 4294967296: 3, 1000: 4 },
        { 2: i, 1: undefined, 1000: i, x: i % 2 === 0 ? 1 : undefined }, Uint8Array.of(1, i, 3), (function args() { return arguments; })(i, 2, 3),
        Object.setPrototypeOf(Object('abc'), Object.prototype),
      ]) {
        const arrived = pair.pass(message);
        assert.deepEqual(arrived, asJson(message));
        assert.deepEqual(Object.keys(arrived), Object.keys(asJson(message)));
      }
    }
    assert.equal(pair.cost({ 0: 1, 2: 'x', b: 3 }).words, 1); // unknown, and text
    pair.pass({ 0: 1, 2: 'x', b: 3 });
    assert.deepEqual(pair.cost({ b: 3, 2: 'x', 0: 1 }), { words: 4, characters: 0 });
  });

  test('lacks what JSON leaves out, also where the shape is known', () => {
    const pair = new Pair();
    for (let i = 0; i < TIMES; i++) {
      const whole = { a: 1, b: { c: 1 }, toString: 2 };
      const parted = { a: undefined, b: { c: Symbol('s') }, toString: 2 };
      assert.deepEqual(pair.pass(whole), whole);
      assert.deepEqual(pair.pass(parted), { b: {}, toString: 2 });
      assert.deepEqual(pair.pass([parted, undefined, () => {}]), [{ b: {}, toString: 2 }, null, null]);
    }
  });

  test('has numbers as JSON has them', () => {
    const pair = new Pair();
    const numbers = [0, -0, 1, -1, 2 ** 28 - 1, 2 ** 28, -(2 ** 28), -(2 ** 28) - 1, 2 ** 31, 2 ** 53, 0.1, 5e-324, Number.MAX_VALUE, NaN, Infinity, -Infinity];
    const arrived = pair.pass(numbers);
    for (const [i, number] of asJson(numbers).entries()) assert.ok(Object.is(arrived[i], number), `${numbers[i]} became ${arrived[i]}`);
  });

  test('has every string, with lone surrogates, at every length', () => {
    const pair = new Pair();
    for (const part of ['x', 'é', '中', '\ud800', '\udc00\ud800', '\0', '"\\']) {
      for (const times of [0, 1, 6, 12, 13, 14, 500, 600, 3000]) {
        const text = part.repeat(times);
        const message = { a: text, list: [text, 'between', text], [part]: 1 };
        for (let i = 0; i < 3; i++) assert.deepEqual(pair.pass(message), message);
      }
    }
  });

  test('has strings that repeat, and those that only look like it', () => {
    const pair = new Pair();
    const strings = [12, 13, 63, 64, 65].flatMap((length) => ['a', 'b', 'é', '\ud800'].map((part) => part.repeat(length)));
    const told = (string) => ({ toJSON: () => string });
    const pick = (i) => strings[(i * 7919 + (i >> 3)) % strings.length];
    for (let i = 0; i < 2_000; i++) {
      const steady = pick(i >> 6);
      const message = { steady, random: pick(i), told: i % 3 ? steady : told(steady), gone: i % 5 ? steady : undefined, mixed: i % 7 ? steady : i };
      assert.deepEqual(pair.pass(message), asJson(message));
    }
  });

  test('takes a string of up to 63 characters once, as long as it stays the same', () => {
    const pair = new Pair();
    for (const length of [12, 63]) {
      const message = (i) => ({ i, host: `host ${'x'.repeat(length)}`.slice(-length) });
      for (let i = 0; i < TIMES; i++) pair.pass(message(i));
      assert.equal(pair.cost(message(TIMES)).characters, 0);
    }
  });

  test('takes short strings of an array once, as long as they stay where they are', () => {
    const pair = new Pair();
    for (const message of [(i) => ({ i, tags: ['new', 'fragile', i] }), (i) => ['get', i, [i, 'twelve chars']]]) {
      for (let i = 0; i < TIMES; i++) pair.pass(message(i));
      assert.equal(pair.cost(message(TIMES)).characters, 0);
    }
    assert.ok(pair.cost(['get', 1, [1, 'of 13 letters']]).characters >= 13);
  });

  test('has the strings of arrays, whatever stood there before', () => {
    const pair = new Pair();
    const told = (string) => Object.assign(() => {}, { toJSON: () => string });
    const pick = (i) => ['', 'a', 'b', 'é', 'twelve chars', 'of 13 letters', told('a'), undefined, 7, 0.5, null, ['b', ['a']], { list: ['a', 'b'] }][(i * 7919 + (i >> 3)) % 13];
    for (let i = 0; i < 4_000; i++) {
      const list = Array.from({ length: i % 11 }, (_, at) => (i % 41 < 2 && at < 2 ? 'never told' : pick(i % 3 ? at : i + at)));
      const message = i % 5 ? { list, more: [list, 'a', list], one: pick(i) } : list;
      if (i % 41 === 0) {
        const told = { list: ['never told', ...list], more: [], one: 1 };
        assert.throws(() => pair.encoder.add(['never told', told, { get late() { throw new RangeError('late'); } }]), { message: 'late' });
      }
      if (i % 997 === 0) for (let j = 0; j < 2 * MAX_SHAPES; j++) pair.pass({ [`${i} ${j >> 1}`]: 0 }); // all shapes are forgotten
      assert.deepEqual(pair.pass(message), asJson(message));
    }
  });

  test('has __proto__ as a key of its own, and a prototype nobody touched', () => {
    const pair = new Pair();
    for (let i = 0; i < TIMES; i++) {
      const arrived = pair.pass(JSON.parse('{"a":1,"__proto__":{"polluted":true}}'));
      assert.deepEqual(Object.keys(arrived), ['a', '__proto__']);
      assert.equal(Object.getPrototypeOf(arrived), Object.prototype);
      assert.equal(arrived.polluted, undefined);
    }
  });

  test('has keys that look like code as keys', () => {
    const pair = new Pair();
    const message = { '"]; globalThis.ran = 1; //': 1, '\u2028': 2, '`${globalThis.ran = 1}`': 3, '\\': 4, '\ud800"': 5 };
    for (let i = 0; i < TIMES; i++) assert.deepEqual(pair.pass(message), message);
    assert.equal(globalThis.ran, undefined);
  });

  test('is the same when other objects of its shape have another prototype', () => {
    class Point {
      constructor() {
        this.x = 1;
      }

      toJSON(key) {
        return `a point at ${key}`;
      }
    }
    const pair = new Pair();
    for (let i = 0; i < TIMES; i++) {
      assert.deepEqual(pair.pass({ at: { x: 1 } }), { at: { x: 1 } });
      assert.deepEqual(pair.pass({ at: new Point() }), { at: 'a point at at' });
      assert.deepEqual(pair.pass({ at: [new Point()] }), { at: ['a point at 0'] });
      assert.deepEqual(pair.pass({ at: Object.assign(Object.create(null), { x: 1 }) }), { at: { x: 1 } });
      assert.deepEqual(pair.pass({ at: Object.assign(Object(3), { x: 1 }) }), { at: 3 });
      assert.deepEqual(pair.pass({ at: Object.setPrototypeOf(Object(3), Object.prototype) }), { at: null });
    }
  });

  test('needs no prototype, and tells a number without one from an object', () => {
    const pair = new Pair();
    const bare = (object, members) => Object.assign(Object.setPrototypeOf(object, null), members);
    for (let i = 0; i < TIMES; i++) assert.deepEqual(pair.pass(bare({}, { x: i, y: 'z' })), { x: i, y: 'z' });
    assert.equal(pair.cost(bare({}, { x: 1, y: 'z' })).characters, 0);
    assert.throws(() => pair.pass(bare(Object(3), { x: 1, y: 'z' })), TypeError);
    assert.deepEqual(pair.pass(bare({}, { x: 1, y: undefined, toJSON: (key) => [key] })), ['']);
    for (let i = 0; i < TIMES; i++) assert.deepEqual(pair.pass(bare({}, { rawJSON: '1' })), { rawJSON: '1' });
    if (JSON.rawJSON) for (let i = 0; i < TIMES; i++) assert.deepEqual(pair.pass({ x: JSON.rawJSON('1e3') }), { x: 1000 });
  });

  test('has the keys of an object of a class, and none that its class has or is given', () => {
    class Job {
      #secret = 1;
      constructor(id) {
        this.id = id;
        this.name = 'a job';
      }

      get secret() {
        return this.#secret;
      }
    }
    class Other extends Job {}
    const pair = new Pair();
    for (let i = 0; i < TIMES; i++) {
      for (const message of [new Job(i), { id: i, name: 'none' }, new Other(i), { job: new Job(i) }, [new Job(i), new Other(i)], Object.assign(Object.setPrototypeOf(Object(3), Job.prototype), { id: i, name: 'a number' })]) {
        assert.deepEqual(pair.pass(message), asJson(message));
      }
    }
    assert.deepEqual(pair.cost(new Job(1)), { words: 3, characters: 0 });
    Job.prototype.method = () => {};
    assert.deepEqual(pair.pass(new Job(1)), { id: 1, name: 'a job' });
    Job.prototype.toJSON = () => 'told';
    assert.deepEqual(pair.pass(new Job(1)), 'told');
  });

  test('is as short when a toJSON answers a plain object as when that is sent', () => {
    const pair = new Pair();
    const told = (answer) => ({ toJSON: (key) => ({ ...answer, key }) });
    for (let i = 0; i < TIMES; i++) {
      for (const message of [told(event(i)), { at: told(event(i)) }, { at: [told({ at: told(event(i)) })] }]) assert.deepEqual(pair.pass(message), asJson(message));
    }
    pair.pass(told(event(1)));
    assert.deepEqual(pair.cost(told(event(1))), pair.cost({ ...event(1), key: '' }));
    const itself = { toJSON() { return this; }, id: 1 };
    const asked = { toJSON: () => ({ toJSON: () => assert.fail('an answer is not asked'), id: 1 }) };
    for (const message of [itself, asked, { itself, asked }]) assert.deepEqual(pair.pass(message), asJson(message));
  });

  test('has its own keys, when another object has inherited the same ones before', () => {
    const pair = new Pair();
    const inherited = [Object.create({ x: 1, y: 2 }), Object.setPrototypeOf({ x: 1 }, { y: 2 })];
    for (let i = 0; i < TIMES; i++) {
      for (const message of [...inherited, [...inherited], { x: 1, y: i }]) assert.deepEqual(pair.pass(message), asJson(message));
    }
  });

  test('has the right string, when one between equal ones came from a toJSON', () => {
    const pair = new Pair();
    const told = Object.assign(() => {}, { toJSON: () => 'between' });
    for (let i = 0; i < TIMES; i++) {
      for (const of of ['equal', 'equal', { toJSON: () => 'between' }, 'equal', told, 'equal']) assert.deepEqual(pair.pass({ of }), asJson({ of }));
    }
  });

  test('has the right strings, when a shape gets its function in the middle of an object of the same shape', () => {
    for (let levels = 1; levels < 5; levels++) {
      const pair = new Pair();
      for (let i = 0; i < 3 * USES_TO_GENERATE; i++) {
        let message = { child: null, name: 'innermost' };
        for (let level = 0; level < levels; level++) message = { child: message, name: `level ${level}` };
        assert.deepEqual(pair.pass(message), message);
        assert.deepEqual(pair.pass(message.child), message.child);
      }
    }
  });

  test('is right with more shapes than are kept', () => {
    const pair = new Pair();
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < MAX_SHAPES * 2; i++) {
        const message = { [`key${i}`]: i, common: event(i) };
        assert.deepEqual(pair.pass(message), message);
      }
    }
  });

  test('is right after a stretch of messages that have nothing in common', () => {
    const pair = new Pair();
    for (let i = 0; i < 2000; i++) assert.deepEqual(pair.pass({ [`key${i}`]: [{ [`inner${i}`]: 1 }] }), { [`key${i}`]: [{ [`inner${i}`]: 1 }] });
    for (let i = 0; i < 2000; i++) assert.deepEqual(pair.pass(event(i)), event(i));
    assert.equal(pair.cost(event(1)).characters, 'name 1'.length);
  });

  test('honours toJSON and keys that somebody gave to all objects', () => {
    const pair = new Pair();
    const message = { a: { b: 1 }, list: [{ b: 2 }, { a: 3, gone: undefined }] };
    for (let i = 0; i < TIMES; i++) pair.pass(message);
    for (const [key, descriptor] of [
      ['toJSON', { value: (at) => `at ${at}`, configurable: true }],
      ['toJSON', { value() { return this.b ?? this; }, configurable: true }],
      ['everywhere', { value: 1, enumerable: true, configurable: true }],
      ['a', { set() { throw new Error('set'); }, configurable: true }],
    ]) {
      Object.defineProperty(Object.prototype, key, descriptor);
      try {
        const expected = JSON.stringify(message);
        for (let i = 0; i < TIMES; i++) assert.equal(JSON.stringify([pair.pass(message)]), JSON.stringify([JSON.parse(expected)]));
      } finally {
        delete Object.prototype[key];
      }
    }
    assert.deepEqual(pair.pass(message), asJson(message));
  });

  test('can be an array with toJSON, or a BigInt with one', () => {
    const pair = new Pair();
    Object.defineProperty(BigInt.prototype, 'toJSON', { value(key) { return `${this} at ${key}`; }, configurable: true });
    try {
      assert.deepEqual(pair.pass({ a: 1n, b: [2n] }), { a: '1 at a', b: ['2 at 0'] });
    } finally {
      delete BigInt.prototype.toJSON;
    }
    const list = Object.assign([1, 2], { toJSON: () => 'a list' });
    assert.deepEqual(pair.pass([list, [list]]), ['a list', ['a list']]);
  });

  test('comes with about its size', () => {
    const { encoder, decoder } = new Pair();
    const sizes = [];
    for (const message of ['x'.repeat(5000), 1, [1, 2, 3]]) encoder.add(message);
    decoder.decode(encoder.words, encoder.length, encoder.text, (_, size) => sizes.push(size));
    assert.deepEqual(sizes, [5004, 4, 16]);
    assert.equal(encoder.size, 5024);
  });

  test('comes with a size that says whether its JSON is too long', () => {
    const pair = new Pair();
    const text = '\0'.repeat(63); // six bytes each as JSON
    const message = Array.from({ length: 200 }, () => ({ text }));
    for (let i = 0; i < 3; i++) pair.pass(message);
    const { encoder, decoder } = pair;
    encoder.add(message);
    assert.equal(encoder.text, '');
    const bytes = Buffer.byteLength(JSON.stringify(message));
    decoder.decode(encoder.words, encoder.length, encoder.text, (arrived, size) => {
      assert.equal(bytesAbove(bytes - 1, arrived, size, decoder.longestKey), bytes);
      assert.equal(bytesAbove(bytes, arrived, size, decoder.longestKey), 0);
      assert.ok(size > sureSize(bytes - 1));
    });
  });
});

describe('keys', () => {
  test('travel with each message as long as the channel is not busy', () => {
    const encoder = new Encoder();
    for (let i = 0; i < 100; i++) encoder.add(event(1));
    assert.equal(encoder.text, JSON.stringify(event(1)).repeat(100));
  });

  test('travel once', () => {
    const pair = new Pair();
    assert.equal(pair.cost(event(1)).characters, JSON.stringify(event(1)).length);
    assert.ok(pair.cost(event(2)).characters > 'idkindokvaluenamenone'.length);
    assert.deepEqual(pair.cost(event(3)), { words: 9, characters: 'name 3'.length });
  });

  test('of a large map are not listed with each message', () => {
    const pair = new Pair();
    const { shapes } = pair.encoder;
    const map = Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`key ${i}`, i]));
    let listed = 0;
    shapes.search = (object) => {
      if (object === map) listed++;
      return Object.getPrototypeOf(shapes).search.call(shapes, object);
    };
    const fields = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`field${i}`, i]));
    for (let i = 0; i < 200; i++) {
      const message = { ...fields, map: i % 50 === 0 ? { little: i } : map };
      assert.deepEqual(pair.pass(message), message);
    }
    assert.ok(listed > 0 && listed < 20, `${listed} times`);
  });

  test('that never come again are not remembered for ever', () => {
    const pair = new Pair();
    for (let i = 0; i < 100_000; i++) {
      pair.encoder.add({ [`key${i}`]: i });
      if (i % 100 === 0) pair.flush();
    }
    assert.ok(pair.encoder.shapes.nodes < 20_000);
    assert.ok(pair.encoder.shapes.known.length <= MAX_SHAPES);
  });
});

// Notes that something was looked at, and gives it.
function noted(trace, what, value) {
  trace.push(what);
  return value;
}

describe('code of the user', () => {
  test('runs once, in JSON\'s order, with the keys JSON gives it', () => {
    const make = (trace) => {
      const object = { a: 1, get b() { return noted(trace, 'b', { toJSON: (key) => noted(trace, `toJSON ${key}`, [1]) }); }, c: new Date(0) };
      return Object.defineProperty(object, 'd', { get: () => noted(trace, 'd', new Map()), enumerable: true });
    };
    const pair = new Pair();
    for (let i = 0; i < TIMES; i++) {
      const [mine, theirs] = [[], []];
      assert.deepEqual(pair.pass([make(mine), { make: make(mine) }]), asJson([make(theirs), { make: make(theirs) }]));
      assert.deepEqual(mine, theirs);
    }
  });

  test('may send: that message comes before the one being written, whole', () => {
    const pair = new Pair();
    const { encoder } = pair;
    const message = (nested) => ({ first: 'a string before', get next() { nested(); return { last: [1.5, 'x'] }; }, gap: undefined, end: event(1) });
    for (let i = 0; i < TIMES; i++) {
      encoder.add('before');
      encoder.add(message(() => {
        encoder.add(event(i));
        encoder.add(message(() => encoder.add('innermost')));
      }));
      encoder.add('after');
      const expected = asJson(message(() => {}));
      assert.deepEqual(pair.flush(), ['before', event(i), 'innermost', expected, expected, 'after']);
    }
  });

  test('may send so much that the batch is handed over in between', () => {
    const pair = new Pair();
    const { encoder } = pair;
    for (let i = 0; i < TIMES; i++) {
      const arrived = [];
      const big = 'x'.repeat(100);
      const message = { a: big, get b() { encoder.add('inner'); arrived.push(...pair.flush()); return { c: big, d: undefined }; }, e: event(i) };
      encoder.add('before');
      encoder.add(message);
      arrived.push(...pair.flush());
      assert.deepEqual(arrived, ['before', 'inner', { a: big, b: { c: big }, e: event(i) }]);
    }
  });

  test('that throws leaves the batch and both ends as they were', () => {
    const pair = new Pair();
    const bad = (i) => ({ [`new${i % 3}`]: { fresh: i }, kind: 'not told', list: [{ kind: 'not told either' }], get late() { throw new RangeError('late'); } });
    for (let i = 0; i < TIMES * 3; i++) {
      pair.encoder.add({ kind: 'told', i });
      const { count, length, text, size } = pair.encoder;
      assert.throws(() => pair.encoder.add(bad(i)), { name: 'RangeError', message: 'late' });
      assert.deepEqual({ count, length, text, size }, { count: pair.encoder.count, length: pair.encoder.length, text: pair.encoder.text, size: pair.encoder.size });
      pair.encoder.add({ kind: 'not told', i });
      pair.encoder.add({ [`new${i % 3}`]: { fresh: i } });
      assert.deepEqual(pair.flush(), [{ kind: 'told', i }, { kind: 'not told', i }, { [`new${i % 3}`]: { fresh: i } }]);
    }
  });

  test('that throws behind many objects of a new shape takes their strings along', () => {
    const pair = new Pair();
    const list = Array.from({ length: 2 * USES_TO_GENERATE }, () => ({ onlyHere: 'short' }));
    for (let i = 0; i < 3; i++) {
      assert.throws(() => pair.encoder.add([...list, { get late() { throw new RangeError('late'); } }]), { message: 'late' });
    }
    assert.deepEqual(pair.pass(list), list);
  });

  test('that leaves no room on the stack does no harm', () => {
    const pair = new Pair();
    for (let i = 0; i < TIMES; i++) pair.pass(event(i));
    let added = 0;
    const deeper = (i) => {
      try {
        pair.encoder.add(event(i));
        added++;
      } catch (error) {
        assert.ok(error instanceof RangeError);
      }
      deeper(i + 1);
    };
    assert.throws(() => deeper(0), RangeError);
    assert.ok(added > 100);
    assert.equal(pair.encoder.count, added);
    assert.equal(pair.flush().length, added);
    for (let i = 0; i < TIMES; i++) assert.deepEqual(pair.pass(event(i)), event(i));
    assert.equal(pair.cost(event(3)).words, 9);
  });

  test('is not run by looking at a Proxy more than JSON does', () => {
    const watch = (target, trace) => new Proxy(target, Object.fromEntries(
      ['get', 'has', 'ownKeys', 'getOwnPropertyDescriptor', 'getPrototypeOf'].map((trap) => [trap, (...args) => {
        trace.push(`${trap} ${typeof args[1] === 'string' ? args[1] : ''}`);
        return Reflect[trap](...args);
      }])));
    const pair = new Pair();
    for (let i = 0; i < TIMES; i++) {
      for (const target of [event(i), [1, 2, 3], [event(1), event(2), 3, 4, 5, 6, 7, 8, 9]]) {
        pair.pass(target);
        for (const wrap of [(x) => x, (x) => ({ x }), (x) => [x]]) {
          const [mine, theirs] = [[], []];
          assert.deepEqual(pair.pass(wrap(watch(target, mine))), asJson(wrap(watch(target, theirs))));
          assert.deepEqual(mine, theirs);
        }
      }
    }
  });
});

describe('what JSON refuses', () => {
  const cycle = { name: 'x', list: [{}] };
  cycle.list[0].back = cycle;
  class Node {}
  const node = new Node();
  node.holder = { node };
  for (const [what, value] of [['a cycle', cycle], ['a cycle through a class', node], ['a BigInt', { a: [1n] }], ['a throwing getter', { get a() { throw new TypeError('no'); } }],
    ['a throwing toJSON', [{ toJSON() { throw new Error('no'); } }]], ['a revoked Proxy', (() => { const { proxy, revoke } = Proxy.revocable([], {}); revoke(); return { proxy }; })()]]) {
    test(`${what} throws the same error`, () => {
      let expected;
      try {
        JSON.stringify(value);
      } catch (error) {
        expected = error;
      }
      const pair = new Pair();
      for (let i = 0; i < TIMES; i++) {
        assert.throws(() => pair.encoder.add(value), { name: expected.name, message: expected.message });
        assert.equal(pair.encoder.count, 0);
        assert.deepEqual(pair.pass(event(i)), event(i));
      }
    });
  }

  test('a cycle is looked at once more, for the text of its error, and not again', () => {
    const trace = [];
    const cycle = { get first() { return noted(trace, 'first', 1); } };
    cycle.self = [cycle];
    const pair = new Pair();
    for (let i = 0; i < 3; i++) assert.throws(() => pair.encoder.add(cycle), /circular/);
    trace.length = 0;
    assert.throws(() => pair.encoder.add(cycle), /circular/);
    assert.equal(trace.length, 2);
  });

  test('is nothing, and false, where JSON has nothing for it', () => {
    const pair = new Pair();
    for (const value of [undefined, () => {}, Symbol('s'), { toJSON: () => undefined }, { toJSON: () => () => {} }]) {
      assert.equal(pair.encoder.add(value), false);
      assert.deepEqual([pair.encoder.count, pair.encoder.length, pair.encoder.text], [0, 0, '']);
    }
  });
});

describe('the decoder', () => {
  const decode = (words, text = '', decoder = new Decoder({ maxDepth: 512 })) => {
    const arrived = [];
    decoder.decode(Int32Array.from(words), words.length, text, (message) => arrived.push(message));
    return arrived;
  };
  const op = (tag, operand) => (operand << 3) | tag;
  const malformed = { code: 'ERR_RSIPC_MALFORMED_FRAME' };

  for (const [what, words, text] of [
    ['a text that is too short', [op(STRING, 5)], 'four'],
    ['text that is left over', [op(STRING, 3)], 'four'],
    ['the longest string there is', [op(STRING, 2 ** 29 - 1)], 'four'],
    ['an array longer than the batch', [op(ARRAY, 2 ** 29 - 1)]],
    ['an array that ends early', [op(ARRAY, 3), 0, 0]],
    ['half a double', [DOUBLE, 0]],
    ['a double that is not a number', [DOUBLE, 0, 0x7ff80000]],
    ['an infinite double', [DOUBLE, 0, 0x7ff00000]],
    ['an unknown shape', [op(OBJECT, 0)]],
    ['an unknown constant', [op(3, 1000)]],
    ['a repeated string that is a message', [SAME]],
    ['a repeated string behind those of an array that are remembered', [op(ARRAY, ELEMENTS + 1), ...new Array(ELEMENTS).fill(0), SAME]],
    ['JSON that is none', [op(JSON_TEXT, 1)], '{'],
    ['JSON of no characters', [op(JSON_TEXT, 0)]],
    ['a shape without keys', [op(SHAPE, 0), op(OBJECT, 0)]],
    ['a shape of too many keys', [op(SHAPE, 100), ...new Array(101).fill(0)]],
    ['a key of negative length', [op(SHAPE, 1), -1, op(OBJECT, 0), 0]],
    ['a key longer than the text', [op(SHAPE, 1), 100, op(OBJECT, 0), 0], 'a'],
    ['the key __proto__', [op(SHAPE, 1), 9, op(OBJECT, 0), 0], '__proto__'],
    ['a shape after which nothing comes', [op(SHAPE, 1), 1], 'a'],
    ['a shape that was forgotten', [op(SHAPE, 1), 1, op(OBJECT, 0), 0, FORGET, op(OBJECT, 0), 0], 'a'],
    ['more shapes than are kept', [...Array.from({ length: MAX_SHAPES + 1 }, () => [op(SHAPE, 1), 0]).flat(), 0]],
    ['nesting the encoder never writes', [...new Array(MAX_NESTING + 1).fill(op(ARRAY, 1)), 0]],
  ]) {
    test(`refuses ${what}`, () => assert.throws(() => decode(words, text), malformed));
  }

  test('refuses a length that the words do not have', () => {
    assert.throws(() => new Decoder({ maxDepth: 512 }).decode(new Int32Array(4), 5, '', () => {}), malformed);
  });

  test('delivers what stands before the fault', () => {
    const arrived = [];
    assert.throws(() => new Decoder({ maxDepth: 512 }).decode(Int32Array.of(8, 16, op(ARRAY, 9)), 3, '', (message) => arrived.push(message)), malformed);
    assert.deepEqual(arrived, [1, 2]);
  });

  test('is not brought to recursion by what is no value', () => {
    assert.deepEqual(decode([...new Array(200_000).fill(FORGET), 8]), [1]);
  });

  test('reads nothing of an older batch that is left in the words', () => {
    const words = Int32Array.of(op(ARRAY, 1), 8, 8, 8);
    assert.throws(() => new Decoder({ maxDepth: 512 }).decode(words, 1, '', () => {}), malformed);
  });

  test('holds every way of nesting against maxDepth', () => {
    const nest = (levels) => JSON.parse('['.repeat(levels) + ']'.repeat(levels));
    const text = (levels) => ({ encoder: { words: Int32Array.of(op(JSON_TEXT, levels * 2)), length: 1, text: '['.repeat(levels) + ']'.repeat(levels) } });
    const words = (message) => {
      const pair = new Pair();
      pair.encoder.add(message);
      return pair;
    };
    for (const limit of [5, MAX_NESTING - 1, MAX_NESTING, MAX_NESTING + 1, 600]) {
      for (const make of [text, (levels) => words(nest(levels)), (levels) => words({ list: ['[[[[', '{', nest(levels - 2)] }), (levels) => words(Object.assign(Object.create(null), { 'a"[\\': ['\\', nest(levels - 2)] }))]) {
        const at = (levels) => {
          const { words: w, length, text: t } = make(levels).encoder;
          new Decoder({ maxDepth: limit }).decode(w, length, t, () => {});
        };
        at(limit);
        assert.throws(() => at(limit + 1), { code: 'ERR_RSIPC_TOO_DEEP' });
      }
    }
  });

  test('delivers the others when the receiver of one throws, and throws that error', () => {
    const pair = new Pair();
    for (let i = 0; i < 4; i++) pair.encoder.add(i);
    const arrived = [];
    const { words, length, text } = pair.encoder;
    assert.throws(() => pair.decoder.decode(words, length, text, (message) => {
      arrived.push(message);
      if (message % 2 === 1) throw new Error(`not ${message}`);
    }), { message: 'not 1' });
    assert.deepEqual(arrived, [0, 1, 2, 3]);
  });
});

describe('memory', () => {
  v8.setFlagsFromString('--expose-gc');
  const collect = vm.runInNewContext('gc');
  const used = () => {
    collect();
    return process.memoryUsage().heapUsed;
  };

  test('is given back after a giant batch', () => {
    const pair = new Pair();
    for (const length of [300_000, 1_000_000]) {
      pair.encoder.add([1.5, ...Array.from({ length }, (_, i) => i)]);
      assert.ok(pair.encoder.words.length >= length);
      assert.equal(pair.flush()[0].length, length + 1);
      pair.pass('little');
      assert.ok(pair.encoder.words.length <= 65_536);
    }
  });

  test('is not taken for all numbers below a key that is one', () => {
    const pair = new Pair();
    for (const arrivesLater of [undefined, 1]) {
      const kept = [];
      const before = used();
      for (let i = 0; i < 2000; i++) kept.push(pair.pass({ 1: i, 1000: i, later: arrivesLater }));
      const each = (used() - before) / kept.length;
      assert.ok(each < 2048, `each object takes ${Math.round(each)} bytes`);
    }
  });

  test('of a batch is not held by a string that is kept of it', () => {
    const pair = new Pair();
    const kept = [];
    const batch = (i) => {
      for (let n = 0; n < 400; n++) pair.encoder.add({ id: n, name: `a name of some length ${i} ${n}`, note: `${i} ${n} `.padEnd(130, 'z') });
      // As a transport hands it over: in one piece of its own.
      const text = Buffer.from(pair.encoder.text, 'latin1').latin1Slice();
      assert.ok(text.length > 60_000);
      let first = null;
      pair.decoder.decode(pair.encoder.words, pair.encoder.length, text, (message) => {
        first ??= message.name;
      });
      pair.encoder.reset();
      return first;
    };
    for (let i = 0; i < 20; i++) batch(i);
    const before = used();
    const BATCHES = 500;
    for (let i = 0; i < BATCHES; i++) kept.push(batch(i));
    const each = (used() - before) / BATCHES;
    assert.equal(kept.length, BATCHES);
    assert.ok(each < 1024, `${Math.round(each)} bytes are held by each string of 25 characters`);
  });
});

describe('against JSON, at random', () => {
  for (const [what, options] of [['with functions made for shapes', []], ['without code from strings', ['--disallow-code-generation-from-strings']]]) {
    test(what, () => {
      const said = execFileSync(process.execPath, [...options, FUZZ, '3000', '7'], { encoding: 'utf8' });
      assert.match(said, /^30\d\d values .*: equal/m);
    });
  }
});
