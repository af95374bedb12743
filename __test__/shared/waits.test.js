'use strict';
// Waits: each is settled once, by what it waits for, by time, by a signal, or by the end of what it waits for.

const assert = require('node:assert');
const { test } = require('node:test');
const { bells } = require('../helpers/shared.js');
const { rsipc } = require('../helpers/modules.js');
const { within } = require('../helpers/wait.js');

const { Ring, Cell } = rsipc;
const turn = () => new Promise(setImmediate);

function ring(options) {
  const made = Ring.create({ capacity: 4_096, ...options });
  return { made, producer: made.producer(), consumer: made.consumer() };
}

test('no bell hangs before the first wait', () => {
  const { made, producer, consumer } = ring();
  producer.tryWrite('x');
  consumer.tryRead();
  made.close();
  assert.deepStrictEqual(bells(), []);
});

test('reads are served in the order in which they began', async () => {
  const { made, producer, consumer } = ring();
  const reads = [consumer.read(), consumer.read(), consumer.read()];
  await turn();
  producer.tryWriteBatch(['a', 'b']);
  await turn();
  producer.tryWrite('c');
  assert.deepStrictEqual((await within(Promise.all(reads), 'three records')).map(String), ['a', 'b', 'c']);
  assert.strictEqual(bells().length, 1);
  made.close();
});

test('writes wait for room in their order, and nothing overtakes them', async () => {
  const { made, producer, consumer } = ring();
  const large = Buffer.alloc(made.maxRecord);
  producer.tryWrite(large);
  producer.tryWrite(large);
  const buffer = Buffer.from('b');
  const writes = [producer.write('a'), producer.write(buffer), producer.write('c')];
  buffer.write('z'); // it was copied
  assert.strictEqual(producer.tryWrite('later'), false);
  assert.strictEqual(producer.tryWriteBatch(['later']), 0);
  assert.strictEqual(producer.reserve(1), undefined);
  consumer.readBatch();
  assert.deepStrictEqual(await within(Promise.all(writes), 'room'), [undefined, undefined, undefined]);
  assert.deepStrictEqual(consumer.readBatch().map(String), ['a', 'b', 'c']);
  made.close();
});

test('what blocks comes behind what waits already', async () => {
  const { made, producer, consumer } = ring();
  const first = consumer.read();
  producer.tryWriteBatch(['a', 'b']);
  assert.strictEqual(String(consumer.readSync()), 'b');
  assert.strictEqual(String(await first), 'a');
  const waiting = consumer.read();
  assert.throws(() => consumer.readSync({ timeout: 5 }), { code: 'ERR_RSIPC_TIMEOUT' });
  producer.tryWrite('c');
  assert.strictEqual(String(await within(waiting, 'the record')), 'c');
  while (producer.tryWrite('fill'));
  const before = producer.write('before');
  setImmediate(() => consumer.readBatch(10));
  assert.throws(() => producer.writeSync('behind', { timeout: 5 }), { code: 'ERR_RSIPC_TIMEOUT' });
  await within(before, 'room');
  made.close();
});

test('a wait ends by its time and not before it, and what came later is the next read\'s', async () => {
  const { made, producer, consumer } = ring();
  const begun = performance.now();
  // The wait keeps the process alive until then.
  await assert.rejects(consumer.read({ timeout: 30 }), { code: 'ERR_RSIPC_TIMEOUT', message: 'Waiting for a record of the ring without a name took longer than 30 ms' });
  assert.ok(performance.now() - begun >= 29);
  assert.throws(() => consumer.readSync({ timeout: 20 }), { code: 'ERR_RSIPC_TIMEOUT' });
  producer.tryWrite('x');
  assert.strictEqual(String(await consumer.read({ timeout: 0 })), 'x');
  while (producer.tryWrite('fill'));
  await assert.rejects(producer.write('x', { timeout: 5, spin: 100 }), { code: 'ERR_RSIPC_TIMEOUT' });
  assert.throws(() => producer.writeSync('x', { timeout: 5 }), { code: 'ERR_RSIPC_TIMEOUT' });
  assert.ok(consumer.readBatch().every((bytes) => String(bytes) === 'fill'), 'what was given up is not written');
  made.close();
});

test('a signal ends one wait and not its neighbours', async () => {
  const { made, producer, consumer } = ring();
  const controller = new AbortController();
  const first = consumer.read({ signal: controller.signal });
  const second = consumer.read();
  controller.abort('why');
  await assert.rejects(first, { name: 'AbortError', code: 'ABORT_ERR', cause: 'why' });
  await assert.rejects(consumer.read({ signal: controller.signal }), { code: 'ABORT_ERR' });
  producer.tryWrite('x');
  assert.strictEqual(String(await within(second, 'the record')), 'x');
  made.close();
});

test('what is closed rejects its waits', async () => {
  for (const what of ['end', 'ring']) {
    const { made, consumer } = ring();
    const reads = [consumer.read(), consumer.read({ timeout: 1e9 })];
    (what === 'end' ? consumer : made).close();
    for (const read of reads) await assert.rejects(read, { code: 'ERR_RSIPC_CLOSED' });
    made.close();
  }
  const cell = Cell.create({ capacity: 10 });
  const next = cell.next();
  cell.close();
  await assert.rejects(next, { code: 'ERR_RSIPC_CLOSED', message: 'the cell without a name has been closed' });
});

test('a slow consumer that waits is told that it is disconnected', async () => {
  const { made, producer, consumer } = ring({ flavor: 'broadcast', slowConsumer: 'disconnect' });
  for (let count = 0; count < 1_000; count++) producer.tryWrite('0123456789');
  await assert.rejects(consumer.read(), { code: 'ERR_RSIPC_SLOW_CONSUMER' });
  made.close();
});

test('iteration gives every record and ends when its end is closed', async () => {
  const { made, producer, consumer } = ring();
  producer.tryWriteBatch(['a', 'b']);
  const seen = [];
  setImmediate(() => producer.tryWrite('c'));
  for await (const record of consumer) {
    seen.push(String(record));
    if (seen.length === 3) setImmediate(() => consumer.close());
  }
  assert.deepStrictEqual(seen, ['a', 'b', 'c']);
  const again = made.consumer();
  producer.tryWriteBatch(['d', 'e']);
  for await (const record of again) {
    assert.strictEqual(String(record), 'd');
    break;
  }
  assert.strictEqual(String(again.tryRead()), 'e', 'what was not asked for is still there');
  made.close();
});

test('spinning finds what is there without a bell', async () => {
  const { made, producer, consumer } = ring();
  producer.tryWrite('x');
  assert.strictEqual(String(await consumer.read({ spin: 10_000 })), 'x');
  await producer.write('y', { spin: 0.5 });
  assert.strictEqual(String(consumer.readSync({ spin: 0 })), 'y');
  made.close();
});

test('a thousand waits of a hundred rings are each settled once', async () => {
  const rings = Array.from({ length: 100 }, () => ring());
  let settled = 0;
  const reads = rings.flatMap(({ consumer }) => Array.from({ length: 10 }, () => consumer.read().then((record) => {
    settled++;
    return String(record);
  })));
  await turn();
  for (const { producer } of rings) producer.tryWriteBatch(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
  const seen = await within(Promise.all(reads), 'all records');
  assert.strictEqual(settled, 1_000);
  seen.forEach((text, index) => assert.strictEqual(text, String(index % 10)));
  for (const { made } of rings) made.close();
});
