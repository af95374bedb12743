'use strict';
// Wrong arguments are refused with the codes and in the words of Node.

const assert = require('node:assert');
const { test } = require('node:test');
const { objects } = require('../helpers/shared.js');
const { rsipc } = require('../helpers/modules.js');

const { Ring, SharedMemory, Cell } = rsipc;
const TYPE = 'ERR_INVALID_ARG_TYPE';
const VALUE = 'ERR_INVALID_ARG_VALUE';
const RANGE = 'ERR_OUT_OF_RANGE';

test('options of the wrong type or out of range throw before anything is made', () => {
  const table = [
    [() => Ring.create(), TYPE], [() => Ring.create(null), TYPE], [() => Ring.create([]), TYPE], [() => Ring.create({}), TYPE],
    [() => Ring.create({ capacity: '4096' }), TYPE], [() => Ring.create({ capacity: 4_096n }), TYPE],
    [() => Ring.create({ capacity: 4_095 }), RANGE], [() => Ring.create({ capacity: 4_096.5 }), RANGE], [() => Ring.create({ capacity: NaN }), RANGE],
    [() => Ring.create({ capacity: Infinity }), RANGE], [() => Ring.create({ capacity: 2 ** 31 + 1 }), RANGE], [() => Ring.create({ capacity: -1 }), RANGE],
    [() => Ring.create({ capacity: 4_096, flavor: 'mpmc' }), VALUE], [() => Ring.create({ capacity: 4_096, flavor: null }), VALUE],
    [() => Ring.create({ capacity: 4_096, slowConsumer: 'drop-oldest' }), VALUE],
    [() => Ring.create({ capacity: 4_096, flavor: 'broadcast', slowConsumer: 'drop' }), VALUE],
    [() => Ring.create({ capacity: 4_096, name: 1 }), TYPE], [() => Ring.create({ capacity: 4_096, name: null }), TYPE],
    [() => Ring.openOrCreate({ capacity: 4_096 }), TYPE], [() => Ring.open(), TYPE], [() => Ring.open({}), TYPE],
    [() => SharedMemory.create({}), TYPE], [() => SharedMemory.create({ size: 0 }), RANGE], [() => SharedMemory.create({ size: 1.5 }), RANGE], [() => SharedMemory.create({ size: 2 ** 50 }), RANGE],
    [() => SharedMemory.openOrCreate({ size: 1 }), TYPE],
    [() => Cell.create({ capacity: 0 }), RANGE], [() => Cell.create({ capacity: 2 ** 30 + 1 }), RANGE], [() => Cell.create({ capacity: true }), TYPE],
  ];
  for (const [call, code] of table) assert.throws(call, { code }, String(call));
  assert.throws(() => Ring.create({ capacity: 1 }), {
    name: 'RangeError', message: 'The value of "options.capacity" is out of range. It must be >= 4096 && <= 2147483648. Received 1',
  });
  assert.deepStrictEqual(objects(), []);
});

test('names outside of the grammar are refused before anything is looked for', () => {
  for (const name of ['', '.', '..', '../x', '/etc/passwd', 'a/b', 'a\0b', '\0', '.hidden', '-rf', 'a b', 'ä', 'x'.repeat(129), 'a\n']) {
    for (const call of [() => Ring.open(name), () => Ring.create({ capacity: 4_096, name }), () => Cell.openOrCreate({ capacity: 1, name }), () => SharedMemory.create({ size: 1, name })]) {
      assert.throws(call, { code: 'ERR_RSIPC_INVALID_NAME' }, JSON.stringify(name));
    }
  }
  const name = 'x'.repeat(128);
  const cell = Cell.create({ capacity: 1, name });
  cell.unlink();
  cell.close();
});

test('nobody makes objects or ends but their own ways', () => {
  const ring = Ring.create({ capacity: 4_096 });
  for (const Class of [Ring, SharedMemory, Cell, ring.producer().constructor, ring.consumer().constructor]) {
    assert.throws(() => new Class(), { name: 'TypeError', code: 'ERR_ILLEGAL_CONSTRUCTOR' });
  }
  ring.close();
});

test('what cannot be written is refused, and nothing of it is written', async () => {
  const ring = Ring.create({ capacity: 4_096 });
  const [producer, consumer] = [ring.producer(), ring.consumer()];
  const cell = Cell.create({ capacity: 8 });
  for (const data of [undefined, null, 1, 1n, true, {}, [], Symbol('x'), () => {}]) {
    for (const call of [() => producer.tryWrite(data), () => producer.writeSync(data), () => producer.tryWriteBatch(['a', data]), () => cell.set(data)]) {
      assert.throws(call, { name: 'TypeError', code: TYPE });
    }
    await assert.rejects(producer.write(data), { code: TYPE });
  }
  assert.throws(() => producer.tryWriteBatch('text'), { code: TYPE });
  for (const bytes of [-1, 1.5, NaN, 2 ** 32]) assert.throws(() => producer.reserve(bytes), { code: RANGE });
  assert.throws(() => producer.reserve('1'), { code: TYPE });
  const slot = producer.reserve(4);
  for (const bytes of [5, -1, 0.5]) assert.throws(() => slot.commit(bytes), { code: RANGE });
  slot.abandon();
  assert.deepStrictEqual(consumer.readBatch().map(String), []);
  assert.strictEqual(cell.version, 0);
  ring.close();
  cell.close();
});

test('options of waits are checked; a promise carries the error', async () => {
  const ring = Ring.create({ capacity: 4_096 });
  const [producer, consumer] = [ring.producer(), ring.consumer()];
  const cell = Cell.create({ capacity: 8 });
  const table = [
    [null, TYPE], [5, TYPE], [[], TYPE], [{ timeout: '1' }, TYPE], [{ timeout: -1 }, RANGE], [{ timeout: NaN }, RANGE],
    [{ signal: {} }, TYPE], [{ signal: 1 }, TYPE], [{ spin: -1 }, RANGE], [{ spin: 10_001 }, RANGE], [{ spin: '5' }, TYPE],
  ];
  for (const [options, code] of table) {
    for (const call of [() => consumer.read(options), () => producer.write('x', options), () => cell.next(options)]) await assert.rejects(call, { code }, JSON.stringify(options));
    if (options?.signal !== undefined) continue;
    for (const call of [() => consumer.readSync(options), () => producer.writeSync('x', options)]) assert.throws(call, { code });
  }
  await assert.rejects(cell.next({ after: -1 }), { code: RANGE });
  for (const max of [0, -1, 1.5, 2 ** 20 + 1, Infinity]) {
    assert.throws(() => consumer.readBatch(max), { code: RANGE });
    assert.throws(() => consumer.consume(() => {}, max), { code: RANGE });
  }
  assert.throws(() => consumer.consume(), { code: TYPE });
  ring.close();
  cell.close();
});

test('an unknown kind of object under the name is refused', () => {
  const cell = Cell.create({ capacity: 8, name: `kind-${process.pid}` });
  assert.throws(() => Ring.open(cell.name), { code: 'ERR_RSIPC_WRONG_KIND' });
  assert.throws(() => SharedMemory.openOrCreate({ name: cell.name, size: 4 }), { code: 'ERR_RSIPC_WRONG_KIND' });
  cell.unlink();
  cell.close();
});
