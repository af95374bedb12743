'use strict';
// Rings between processes: woken, killed, taken over.

const assert = require('node:assert');
const { test } = require('node:test');
const { unique, record, numberOf, objects, bells } = require('../helpers/shared.js');
const { rsipc, node, fixture, environment } = require('../helpers/modules.js');
const { leavesNothing, stopped } = require('../helpers/leavings.js');
const { happened, within } = require('../helpers/wait.js');

const { Ring } = rsipc;
// Opens what stays open for the length of the process: the run directory.
Ring.create({ capacity: 4_096 }).close();
leavesNothing();

const peer = (...args) => node.fork(fixture('shared/peer'), args.map(String), { env: environment(false) });
const killed = async (child) => {
  const exited = happened(child, 'exit');
  child.kill('SIGKILL');
  await exited;
};

async function withRing(options, use) {
  const ring = Ring.create({ capacity: 8_192, name: unique(), ...options });
  try {
    await within(use(ring), 'the test');
  } finally {
    ring.unlink();
    ring.close();
  }
}

for (const flavor of ['spsc', 'mpsc', 'broadcast']) {
  test(`records of another process come whole and in order, however they are read (${flavor})`, () => withRing({ flavor }, async (ring) => {
    const consumer = ring.consumer();
    const total = 6_000;
    const child = peer('produce', ring.name, 0, total);
    let next = 0;
    const take = (bytes) => assert.strictEqual(numberOf(bytes), next++);
    while (next < total) {
      switch (next % 4) {
        case 0: take(await consumer.read()); break;
        case 1: consumer.readBatch(50).forEach(take); break;
        case 2: consumer.consume(take, 50); break;
        default: take(consumer.readSync({ timeout: 30_000 }));
      }
      if (next < total && next % 4 !== 3) take(await consumer.read());
    }
    assert.deepStrictEqual(await happened(child, 'exit'), [0, null]);
    assert.strictEqual(consumer.tryRead(), undefined);
  }));
}

test('a sleeping reader in another process is woken by every kind of write', () => withRing({}, async (ring) => {
  const producer = ring.producer();
  const child = peer('consume', ring.name, 5);
  await happened(child, 'message');
  producer.tryWrite(record(1));
  await producer.write(record(2));
  producer.writeSync(record(3));
  producer.tryWriteBatch([record(4)]);
  const slot = producer.reserve(20);
  record(5, 20).copy(slot.view);
  slot.commit();
  const exited = happened(child, 'exit');
  assert.deepStrictEqual(await happened(child, 'message'), [[1, 2, 3, 4, 5], undefined]);
  await exited;
}));

test('producers of several processes are served by one consumer, each in its order', () => withRing({ flavor: 'mpsc' }, async (ring) => {
  const consumer = ring.consumer();
  const each = 2_000;
  const children = [0, 1, 2].map((index) => peer('produce', ring.name, index * each, (index + 1) * each));
  const ends = children.map((child) => happened(child, 'exit'));
  const next = [0, each, 2 * each];
  for (let count = 0; count < 3 * each; count++) {
    const number = numberOf(await consumer.read());
    assert.strictEqual(number, next[Math.floor(number / each)]++);
  }
  for (const end of ends) assert.deepStrictEqual(await end, [0, null]);
}));

test('who is killed gives its role back, and nothing it had not finished is seen', () => withRing({ flavor: 'spsc' }, async (ring) => {
  for (let round = 0; round < 8; round++) {
    const consumer = ring.consumer();
    const child = peer('flood', ring.name, round * 1_000);
    await happened(child, 'message');
    for (let count = 0; count < 50 * round; count++) numberOf(await consumer.read());
    await killed(child);
    // What is there is whole, and it is not much.
    let last;
    for (const bytes of consumer.readBatch()) {
      const number = numberOf(bytes);
      if (last !== undefined) assert.strictEqual(number, last + 1);
      last = number;
    }
    const producer = ring.producer();
    producer.tryWrite(record(1));
    assert.strictEqual(numberOf(await consumer.read()), 1);
    producer.close();
    consumer.close();
  }
}));

test('a consumer that is killed holds up nobody, and its records are read by the next', () => withRing({ flavor: 'broadcast' }, async (ring) => {
  const producer = ring.producer();
  const child = peer('hold', ring.name, 'consumer');
  await happened(child, 'message');
  let number = 0;
  while (producer.tryWrite(record(number))) number++;
  const blocked = producer.write(record(number));
  await killed(child);
  // Nobody rings for the dead: the waits look again by themselves.
  await within(blocked, 'room', 10_000);
}));

test('a reservation of a killed producer of many is skipped', () => withRing({ flavor: 'mpsc' }, async (ring) => {
  const consumer = ring.consumer();
  const child = peer('hold', ring.name, 'producer', 'reserve');
  await happened(child, 'message');
  const producer = ring.producer();
  producer.tryWrite('after');
  await killed(child);
  assert.strictEqual(String(await consumer.read()), 'after');
}));

test('a stopped reader holds up only whom it must, and goes on where it was', () => withRing({}, async (ring) => {
  const producer = ring.producer();
  const child = peer('consume', ring.name, 300);
  await happened(child, 'message');
  child.kill('SIGSTOP');
  await stopped(child.pid);
  let number = 0;
  while (producer.tryWrite(record(number))) number++;
  const rest = (async () => { for (; number < 300; number++) await producer.write(record(number)); })();
  child.kill('SIGCONT');
  const [seen] = await happened(child, 'message');
  await rest;
  assert.deepStrictEqual(seen, Array.from({ length: 300 }, (_, index) => index));
  if (child.exitCode === null) await happened(child, 'exit');
}));

test('processes that are killed in the middle of everything leave only what the next one removes', () => withRing({ flavor: 'mpsc' }, async (ring) => {
  const reader = peer('drain', ring.name);
  await happened(reader, 'message');
  for (let round = 0; round < 10; round++) {
    const writers = [0, 1].map(() => peer('flood', ring.name, 0));
    await Promise.all(writers.map((writer) => happened(writer, 'message')));
    await Promise.all(writers.map(killed));
  }
  await killed(reader);
  const consumer = ring.consumer();
  for (const bytes of consumer.readBatch()) numberOf(bytes);
  consumer.close();
  // Whoever waits for the first time takes down the bells of the dead.
  await happened(peer('exit', ring.name), 'exit');
  assert.ok(bells().length <= 1, 'only our own bell');
  assert.deepStrictEqual(objects(), [`${ring.name}.shm`]);
}));
