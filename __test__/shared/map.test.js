'use strict';
// SharedMap: what is set is found, by whichever attachment, until it is deleted, expires or is replaced.

const assert = require('node:assert');
const { test } = require('node:test');
const { unique } = require('../helpers/shared.js');
const { rsipc } = require('../helpers/modules.js');
const { until } = require('../helpers/wait.js');

const { SharedMap } = rsipc;
const CAPACITY = 65_536;

test('a value is found by every attachment, under a text or its bytes, and what is read is a copy', () => {
  const name = unique();
  const map = SharedMap.create({ capacity: CAPACITY, name });
  const other = SharedMap.open(name);
  assert.strictEqual(map.get('ä'), undefined);
  assert.strictEqual(map.set('ä', 'wert'), map);
  for (const key of ['ä', Buffer.from('ä'), new Uint8Array(Buffer.from('ä')), Uint8Array.from(Buffer.from('ä')).buffer]) {
    assert.strictEqual(String(other.get(key)), 'wert');
    assert.strictEqual(other.has(key), true);
  }
  const read = other.get('ä');
  map.set('ä', Buffer.from('neu'));
  assert.strictEqual(String(read), 'wert');
  read.fill(0);
  assert.strictEqual(String(other.get('ä')), 'neu');
  map.set('', '');
  assert.strictEqual(other.get('').length, 0);
  assert.strictEqual(other.length, 2);
  assert.strictEqual(other.delete('ä'), true);
  assert.strictEqual(other.delete('ä'), false);
  assert.strictEqual(map.get('ä'), undefined);
  map.clear();
  assert.strictEqual(other.length, 0);
  assert.strictEqual(map.kind, 'map');
  map.unlink();
  map.close();
  assert.throws(() => map.get('x'), { code: 'ERR_RSIPC_CLOSED' });
  other.close();
});

test('values of every size come back whole', () => {
  const map = SharedMap.create({ capacity: 2 ** 24 });
  for (const size of [0, 1, 7, 8, 63, 64, 1_000, 16_383, 16_384, 16_385, 65_535, 65_536, 200_000]) {
    const value = Buffer.alloc(size, size & 0xff);
    map.delete('key'); // else both need room
    map.set('key', value);
    assert.ok(map.get('key').equals(value), `${size} bytes`);
  }
  map.close();
});

test('a value is replaced only where its version is still the one that was read', () => {
  const map = SharedMap.create({ capacity: CAPACITY });
  assert.strictEqual(map.getEntry('x'), undefined);
  assert.strictEqual(map.compareAndSet('x', 1, 'a'), false);
  assert.strictEqual(map.compareAndSet('x', 0, 'a'), true);
  assert.strictEqual(map.compareAndSet('x', 0, 'b'), false);
  const { value, version } = map.getEntry('x');
  assert.strictEqual(String(value), 'a');
  assert.strictEqual(map.compareAndSet('x', version, 'b'), true);
  assert.strictEqual(map.compareAndSet('x', version, 'c'), false);
  assert.strictEqual(String(map.get('x')), 'b');
  map.delete('x');
  map.set('x', 'a');
  assert.strictEqual(map.compareAndSet('x', version, 'c'), false, 'a version is not used again');
  map.close();
});

test('a counter counts in 64 bits, and is no value', () => {
  const map = SharedMap.create({ capacity: CAPACITY });
  assert.strictEqual(map.count('c'), 0n);
  assert.strictEqual(map.add('c'), 1n);
  assert.strictEqual(map.add('c', 41), 42n);
  assert.strictEqual(map.add('c', -(2n ** 40n)), 42n - 2n ** 40n);
  assert.strictEqual(map.count('c'), 42n - 2n ** 40n);
  map.add('most', 2n ** 63n - 1n);
  assert.throws(() => map.add('most'), { code: 'ERR_OUT_OF_RANGE' });
  assert.throws(() => map.add('c', 2n ** 63n), { code: 'ERR_OUT_OF_RANGE' });
  assert.strictEqual(map.count('most'), 2n ** 63n - 1n);
  map.set('value', '12345678');
  assert.throws(() => map.add('value'), { code: 'ERR_RSIPC_NOT_A_COUNTER' });
  assert.throws(() => map.count('value'), { code: 'ERR_RSIPC_NOT_A_COUNTER' });
  map.close();
});

test('an entry with a time to live is gone after it, and not before', async () => {
  const map = SharedMap.create({ capacity: CAPACITY });
  const begun = performance.now(); // before: the process may stand still behind the first set
  map.set('short', 'x', { ttl: 30 }).set('long', 'x', { ttl: 1e9 }).set('ever', 'x', { ttl: Infinity });
  map.add('counter', 5, { ttl: 30 });
  await until(() => !map.has('short'), 'the entry to expire');
  assert.ok(performance.now() - begun >= 28);
  await until(() => map.count('counter') === 0n, 'the counter to expire');
  assert.ok(map.purge() <= 2);
  assert.deepStrictEqual([...map].map(([key]) => String(key)).sort(), ['ever', 'long']);
  assert.strictEqual(map.length, 2);
  map.close();
});

test('a full map says so, keeps what it has, and takes more when something is gone', () => {
  const map = SharedMap.create({ capacity: CAPACITY });
  let count = 0;
  assert.throws(() => {
    for (; ; count++) map.set(`key ${count}`, Buffer.alloc(1_000, count));
  }, { code: 'ERR_RSIPC_MAP_FULL' });
  assert.ok(count > 40);
  for (let key = 0; key < count; key++) assert.ok(map.get(`key ${key}`).equals(Buffer.alloc(1_000, key)));
  map.delete('key 0');
  map.set('another', Buffer.alloc(1_000));
  assert.throws(() => map.set('key', Buffer.alloc(CAPACITY)), { name: 'RangeError', code: 'ERR_RSIPC_RECORD_TOO_LARGE' });
  assert.throws(() => map.set('k'.repeat(65_536), ''), { name: 'RangeError', code: 'ERR_RSIPC_RECORD_TOO_LARGE' });
  map.close();
});

test('an iteration gives every entry that stays once, whatever comes and goes', () => {
  const map = SharedMap.create({ capacity: 2 ** 20 });
  const keys = Array.from({ length: 500 }, (_, index) => `key ${index}`);
  for (const key of keys) map.set(key, key);
  const seen = [];
  for (const [key, value] of map.entries()) {
    assert.ok(key.equals(value));
    seen.push(String(key));
    if (seen.length % 50 === 0) {
      map.set(`new ${seen.length}`, `new ${seen.length}`);
      map.delete(`new ${seen.length}`);
    }
  }
  assert.deepStrictEqual(seen.filter((key) => key.startsWith('key')).sort(), keys.slice().sort());
  map.close();
});

test('wrong arguments are refused and change nothing', () => {
  const [TYPE, RANGE] = ['ERR_INVALID_ARG_TYPE', 'ERR_OUT_OF_RANGE'];
  const map = SharedMap.create({ capacity: CAPACITY });
  const table = [
    [() => SharedMap.create(), TYPE], [() => SharedMap.create({}), TYPE], [() => SharedMap.create({ capacity: CAPACITY - 1 }), RANGE],
    [() => SharedMap.create({ capacity: CAPACITY, entries: 0 }), RANGE], [() => SharedMap.create({ capacity: CAPACITY, entries: '1' }), TYPE],
    [() => SharedMap.open(), TYPE], [() => SharedMap.openOrCreate({ capacity: CAPACITY }), TYPE],
    [() => map.get(), TYPE], [() => map.get(1), TYPE], [() => map.set('x'), TYPE], [() => map.set({}, 'x'), TYPE], [() => map.set('x', 'x', 1), TYPE],
    [() => map.set('x', 'x', { ttl: '1' }), TYPE], [() => map.set('x', 'x', { ttl: -1 }), RANGE], [() => map.compareAndSet('x', -1, 'x'), RANGE],
    [() => map.compareAndSet('x', undefined, 'x'), TYPE], [() => map.add('x', 1.5), RANGE], [() => map.add('x', '1'), TYPE], [() => map.delete(null), TYPE],
  ];
  for (const [call, code] of table) assert.throws(call, { code }, String(call));
  assert.strictEqual(map.length, 0);
  assert.throws(() => new SharedMap(), { code: 'ERR_ILLEGAL_CONSTRUCTOR' });
  map.close();
});
