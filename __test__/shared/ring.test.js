'use strict';
// What a ring does within one process.

const assert = require('node:assert');
const { test } = require('node:test');
const { unique, record, numberOf } = require('../helpers/shared.js');
const { rsipc } = require('../helpers/modules.js');

const { Ring } = rsipc;

// A ring with both ends, for the length of a test.
function withRing(options, use) {
  const ring = Ring.create({ capacity: 65_536, ...options });
  const end = () => ring.close();
  let result;
  try {
    result = use(ring.producer(), ring.consumer(), ring);
  } catch (error) {
    end();
    throw error;
  }
  if (result instanceof Promise) return result.finally(end);
  return end();
}

for (const flavor of ['spsc', 'mpsc', 'broadcast']) {
  test(`records come out as they went in, whatever way they went (${flavor})`, () => withRing({ flavor }, (producer, consumer) => {
    const given = ['', 'text', 'ä€😀', Buffer.from([1, 2]), new Uint16Array([3, 4]), new DataView(new ArrayBuffer(3)), new ArrayBuffer(5), 'x'.repeat(20_000)];
    const bytes = given.map((data) => typeof data === 'string' ? Buffer.from(data) : ArrayBuffer.isView(data) ? Buffer.from(data.buffer, data.byteOffset, data.byteLength) : Buffer.from(data));
    for (const data of given) assert.strictEqual(producer.tryWrite(data), true);
    for (const expected of bytes) assert.deepStrictEqual(consumer.tryRead(), expected);
    assert.strictEqual(consumer.tryRead(), undefined);
    assert.strictEqual(producer.tryWriteBatch(given), given.length);
    assert.deepStrictEqual(consumer.readBatch(), bytes);
    assert.strictEqual(producer.tryWriteBatch(given), given.length);
    const seen = [];
    assert.strictEqual(consumer.consume((view) => seen.push(Buffer.from(view))), given.length);
    assert.deepStrictEqual(seen, bytes);
    for (const data of given) producer.writeSync(data);
    for (const expected of bytes) assert.deepStrictEqual(consumer.readSync(), expected);
    assert.deepStrictEqual([consumer.readBatch(), consumer.consume(() => assert.fail('there is none'))], [[], 0]);
  }));

  test(`thousands of records wrap around whole and in order (${flavor})`, () => withRing({ flavor, capacity: 4_096 }, (producer, consumer) => {
    let next = 0;
    const expect = (bytes) => assert.strictEqual(numberOf(bytes), next++);
    for (let number = 0; number < 5_000; ) {
      const batch = [record(number), record(number + 1), record(number + 2)];
      number += producer.tryWriteBatch(batch);
      if (number % 3 === 0) consumer.readBatch(5).forEach(expect);
      else if (number % 3 === 1) consumer.consume(expect, 5);
      else for (let bytes = consumer.tryRead(); bytes !== undefined; bytes = consumer.tryRead()) expect(bytes);
    }
  }));

  test(`a reserved record is not seen before its commit, and never when it is given up (${flavor})`, () => withRing({ flavor }, (producer, consumer) => {
    const slot = producer.reserve(100);
    const { view } = slot;
    assert.strictEqual(view.length, 100);
    view.fill('y');
    assert.strictEqual(consumer.tryRead(), undefined);
    assert.throws(() => producer.tryWrite('between'), { code: 'ERR_RSIPC_BUSY' });
    slot.commit(10);
    slot.commit();
    slot.abandon();
    assert.strictEqual(String(consumer.tryRead()), 'y'.repeat(10));
    assert.strictEqual(slot.view.length, 0);
    producer.reserve(5).abandon();
    producer.tryWrite('after');
    assert.strictEqual(String(consumer.tryRead()), 'after');
    const empty = producer.reserve(0);
    empty.commit();
    assert.strictEqual(consumer.tryRead().length, 0);
  }));
}

test('a shorter record than was reserved is whole also where the longer one began the ring anew', () => withRing({ capacity: 4_096 }, (producer, consumer, ring) => {
  for (let turn = 0; turn < 300; turn++) {
    const slot = producer.reserve(ring.maxRecord - turn);
    slot.view.fill(turn & 0xff);
    slot.view.write(`turn ${turn}`);
    slot.commit(50);
    const bytes = consumer.tryRead();
    assert.strictEqual(bytes.length, 50);
    assert.ok(String(bytes).startsWith(`turn ${turn}`));
    for (let fill = 0; fill < turn % 5; fill++) {
      producer.tryWrite('fill');
      consumer.tryRead();
    }
  }
}));

test('views of records in place are empty when they are given back', () => withRing({}, (producer, consumer) => {
  producer.tryWriteBatch(['one', 'two']);
  const views = [];
  consumer.consume((view) => {
    assert.strictEqual(view.length, 3);
    views.push(view, new Uint8Array(view.buffer));
  });
  assert.deepStrictEqual(views.map((view) => view.length), [0, 0, 0, 0]);
  const slot = producer.reserve(8);
  const { view } = slot;
  slot.commit();
  assert.strictEqual(view.length, 0);
}));

test('a throwing use keeps the records behind the one it threw at', () => withRing({}, (producer, consumer) => {
  producer.tryWriteBatch(['one', 'two', 'three']);
  assert.throws(() => consumer.consume((view) => {
    if (String(view) === 'two') throw new Error('mine');
  }), /mine/);
  assert.deepStrictEqual(consumer.readBatch().map(String), ['three']);
}));

test('nothing else is read while a record is used in place', () => withRing({}, (producer, consumer) => {
  producer.tryWriteBatch(['one', 'two']);
  consumer.consume(() => {
    assert.throws(() => consumer.tryRead(), { code: 'ERR_RSIPC_BUSY' });
    assert.throws(() => consumer.consume(() => {}), { code: 'ERR_RSIPC_BUSY' });
  }, 1);
  assert.strictEqual(String(consumer.tryRead()), 'two');
}));

test('an end or a ring may be closed while a record is used in place', () => {
  for (const what of ['consumer', 'ring']) {
    const ring = Ring.create({ capacity: 4_096 });
    ring.producer().tryWriteBatch(['one', 'two']);
    const consumer = ring.consumer();
    let kept;
    assert.strictEqual(consumer.consume((view) => {
      kept = view;
      (what === 'ring' ? ring : consumer).close();
      assert.strictEqual(view.length, 0);
    }), 1);
    assert.strictEqual(kept.length, 0);
    assert.throws(() => consumer.tryRead(), { code: 'ERR_RSIPC_CLOSED' });
    ring.close();
  }
});

test('two consumers of one ring can use the same record in place', () => {
  const ring = Ring.create({ capacity: 4_096, flavor: 'broadcast' });
  const [producer, one, other] = [ring.producer(), ring.consumer(), ring.consumer()];
  producer.tryWrite('both');
  const seen = [];
  one.consume((view) => other.consume((same) => seen.push(String(view), String(same))));
  assert.deepStrictEqual(seen, ['both', 'both']);
  ring.close();
});

test('a full ring says so and takes more when it was read', () => withRing({ capacity: 4_096 }, (producer, consumer, ring) => {
  const large = Buffer.alloc(ring.maxRecord);
  assert.strictEqual(producer.tryWrite(large), true);
  assert.strictEqual(producer.tryWrite(large), true);
  assert.strictEqual(producer.tryWrite('x'), false);
  assert.strictEqual(producer.tryWriteBatch(['x', 'y']), 0);
  assert.strictEqual(producer.reserve(1), undefined);
  consumer.tryRead();
  assert.strictEqual(producer.tryWrite('x'), true);
}));

test('a record that never fits is refused, and does not hold up those before it', () => withRing({ capacity: 4_096 }, (producer, consumer, ring) => {
  const tooLarge = Buffer.alloc(ring.maxRecord + 1);
  for (const write of [(data) => producer.tryWrite(data), (data) => producer.writeSync(data), (data) => producer.tryWriteBatch([data]), (data) => producer.reserve(data.length)]) {
    assert.throws(() => write(tooLarge), { name: 'RangeError', code: 'ERR_RSIPC_RECORD_TOO_LARGE' });
  }
  assert.strictEqual(producer.tryWriteBatch(['fits', tooLarge]), 1);
  assert.deepStrictEqual(consumer.readBatch().map(String), ['fits']);
}));

test('a role for one has one holder until it is given back', () => {
  const ring = Ring.create({ capacity: 4_096 });
  const producer = ring.producer();
  assert.throws(() => ring.producer(), { code: 'ERR_RSIPC_ROLE_TAKEN' });
  producer.close();
  producer.close();
  ring.producer();
  ring.consumer();
  assert.throws(() => ring.consumer(), { code: 'ERR_RSIPC_ROLE_TAKEN' });
  ring.close();
});

test('every consumer of a broadcast ring gets every record since it came', () => {
  const ring = Ring.create({ capacity: 4_096, flavor: 'broadcast' });
  const producer = ring.producer();
  producer.tryWrite('before');
  const consumers = [ring.consumer(), ring.consumer()];
  producer.tryWriteBatch(['a', 'b']);
  for (const consumer of consumers) assert.deepStrictEqual(consumer.readBatch().map(String), ['a', 'b']);
  ring.close();
});

test('a slow consumer loses the oldest records and can tell how many, or is disconnected', () => {
  const dropping = Ring.create({ capacity: 4_096, flavor: 'broadcast', slowConsumer: 'drop-oldest' });
  const [producer, consumer] = [dropping.producer(), dropping.consumer()];
  for (let number = 0; number < 1_000; number++) assert.strictEqual(producer.tryWrite(record(number)), true);
  const seen = consumer.readBatch().map(numberOf);
  assert.strictEqual(seen.at(-1), 999);
  assert.strictEqual(consumer.dropped, 1_000 - seen.length);
  consumer.close();
  assert.strictEqual(consumer.dropped, 1_000 - seen.length);
  dropping.close();

  const strict = Ring.create({ capacity: 4_096, flavor: 'broadcast', slowConsumer: 'disconnect' });
  const [writer, slow] = [strict.producer(), strict.consumer()];
  for (let number = 0; number < 1_000; number++) writer.tryWrite(record(number));
  assert.throws(() => slow.tryRead(), { code: 'ERR_RSIPC_SLOW_CONSUMER' });
  strict.close();
});

test('a name is found until it is taken away, and then those who have the ring go on', () => {
  const name = unique();
  assert.throws(() => Ring.open(name), { code: 'ERR_RSIPC_NOT_FOUND' });
  const ring = Ring.create({ capacity: 5_000, name });
  assert.deepStrictEqual([ring.name, ring.kind, ring.flavor, ring.capacity, ring.closed], [name, 'ring', 'spsc', 8_192, false]);
  assert.ok(ring.size > ring.capacity && ring.maxRecord < ring.capacity);
  assert.throws(() => Ring.create({ capacity: 4_096, name }), { code: 'ERR_RSIPC_NAME_TAKEN' });
  const same = Ring.openOrCreate({ capacity: 1e6, name });
  assert.strictEqual(same.capacity, 8_192);
  ring.producer().tryWrite('through two attachments');
  ring.unlink();
  ring.unlink();
  assert.throws(() => Ring.open(name), { code: 'ERR_RSIPC_NOT_FOUND' });
  assert.strictEqual(String(same.consumer().tryRead()), 'through two attachments');
  ring.close();
  ring.close();
  same.close();
  assert.strictEqual(ring.closed, true);
});

test('a name that another object has by now stays that one\'s', () => {
  const name = unique();
  const [first, same] = [Ring.create({ capacity: 4_096, name }), Ring.open(name)];
  first.unlink();
  const second = Ring.create({ capacity: 8_192, name });
  same.unlink();
  const found = Ring.open(name);
  assert.strictEqual(found.capacity, 8_192);
  second.unlink();
  for (const each of [first, same, second, found]) each.close();
});

test('a closed ring refuses everything', async () => {
  const ring = Ring.create({ capacity: 4_096 });
  const [producer, consumer] = [ring.producer(), ring.consumer()];
  ring[Symbol.dispose ?? Symbol.for('nodejs.dispose')]();
  const closed = { code: 'ERR_RSIPC_CLOSED', message: 'the ring without a name has been closed' };
  for (const call of [() => ring.producer(), () => ring.consumer(), () => producer.tryWrite('x'), () => producer.tryWriteBatch(['x']), () => producer.writeSync('x'),
    () => producer.reserve(1), () => consumer.tryRead(), () => consumer.readBatch(), () => consumer.readSync(), () => consumer.consume(() => {})]) {
    assert.throws(call, closed);
  }
  await assert.rejects(producer.write('x'), closed);
  await assert.rejects(consumer.read(), closed);
});
