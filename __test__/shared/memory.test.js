'use strict';
// SharedMemory and Cell.

const assert = require('node:assert');
const { test } = require('node:test');
const { unique, record, numberOf } = require('../helpers/shared.js');
const { rsipc, node, fixture, environment } = require('../helpers/modules.js');
const { happened, within } = require('../helpers/wait.js');

const { SharedMemory, Cell } = rsipc;
const peer = (...args) => node.fork(fixture('shared/peer'), args.map(String), { env: environment(false) });

test('bytes are those of the memory itself, from the first one at a multiple of 64', () => {
  const name = unique();
  const [one, other] = [SharedMemory.create({ name, size: 1_000 }), SharedMemory.open(name)];
  assert.deepStrictEqual([one.size, one.buffer.length, other.size, one.kind, one.name], [1_000, 1_000, 1_000, 'memory', name]);
  assert.strictEqual(one.buffer, one.buffer);
  assert.ok(one.buffer.every((byte) => byte === 0));
  one.buffer.write('hello');
  assert.strictEqual(other.buffer.toString('utf8', 0, 5), 'hello');
  new BigInt64Array(other.buffer.buffer, 8, 1)[0] = 5n;
  assert.strictEqual(one.buffer.readBigInt64LE(8), 5n);
  one.unlink();
  one.close();
  other.close();
});

test('every view is empty once the memory is closed', () => {
  const memory = SharedMemory.create({ size: 64 });
  const { buffer } = memory;
  const views = [buffer, buffer.subarray(4), new Float64Array(buffer.buffer)];
  memory.close();
  assert.deepStrictEqual([...views.map((view) => view.length), memory.buffer.length], [0, 0, 0, 0]);
  const never = SharedMemory.create({ size: 64 });
  never.close();
  assert.strictEqual(never.buffer.length, 0);
});

test('Atomics of two processes lose nothing', async () => {
  const memory = SharedMemory.create({ name: unique(), size: 8 });
  const words = new Int32Array(memory.buffer.buffer);
  const children = [peer('add', memory.name, 50_000), peer('add', memory.name, 50_000)];
  const ends = children.map((child) => happened(child, 'exit'));
  for (let count = 0; count < 50_000; count++) Atomics.add(words, 0, 1);
  for (const end of ends) assert.deepStrictEqual(await end, [0, null]);
  assert.strictEqual(words[0], 150_000);
  memory.unlink();
  memory.close();
});

test('a cell has the latest value, as often as it is read', () => {
  const cell = Cell.create({ capacity: 100 });
  assert.deepStrictEqual([cell.get(), cell.version, cell.capacity, cell.kind], [undefined, 0, 100, 'cell']);
  cell.set('first');
  cell.set(Buffer.from('second'));
  assert.deepStrictEqual([String(cell.get()), String(cell.get()), cell.version], ['second', 'second', 2]);
  cell.set('');
  assert.strictEqual(cell.get().length, 0);
  assert.throws(() => cell.set(Buffer.alloc(101)), { name: 'RangeError', code: 'ERR_RSIPC_RECORD_TOO_LARGE' });
  cell.close();
  for (const call of [() => cell.get(), () => cell.set('x'), () => cell.version]) assert.throws(call, { code: 'ERR_RSIPC_CLOSED' });
});

test('the next value resolves every wait for an older version, and no other', async () => {
  const cell = Cell.create({ capacity: 100 });
  cell.set('one');
  assert.strictEqual(String(await cell.next({ after: 0 })), 'one');
  const later = cell.next({ after: 2, timeout: 1e6 });
  const waits = [cell.next(), cell.next({ after: 1 })];
  cell.set('two');
  assert.deepStrictEqual((await within(Promise.all(waits), 'the value')).map(String), ['two', 'two']);
  cell.set('three');
  assert.strictEqual(String(await within(later, 'the third')), 'three');
  await assert.rejects(cell.next({ timeout: 5 }), { code: 'ERR_RSIPC_TIMEOUT' });
  cell.close();
});

test('no value of a cell is torn while another process sets it', async () => {
  const cell = Cell.create({ name: unique(), capacity: 400 });
  cell.set(record(0));
  const child = peer('values', cell.name, 30_000);
  let last = 0;
  let ended = false;
  child.once('exit', () => { ended = true; });
  while (!ended) {
    for (let turn = 0; turn < 200; turn++) {
      const number = numberOf(cell.get());
      assert.ok(number >= last);
      last = number;
    }
    await cell.next({ timeout: 1 }).catch(() => {});
  }
  assert.strictEqual(numberOf(cell.get()), 30_000);
  cell.unlink();
  cell.close();
});
