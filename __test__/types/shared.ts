// Shared memory has types, and wrong uses of them do not compile.

import { Cell, fork, Ring, SharedMemory } from '../../index.js';
import type { RingConsumer, RingProducer, RingSlot, SharedMemoryErrorCode, SharedObject } from '../../index.js';

const ring: Ring = Ring.create({ capacity: 4_096, flavor: 'broadcast', slowConsumer: 'drop-oldest', name: 'x' });
const producer: RingProducer = ring.producer();
const consumer: RingConsumer = ring.consumer();
const objects: SharedObject[] = [ring, SharedMemory.open('m'), Cell.openOrCreate({ name: 'c', capacity: 10 })];
for (const object of objects) object.ref().unref();

async function use(): Promise<void> {
  const written: boolean = producer.tryWrite('text');
  const count: number = producer.tryWriteBatch([Buffer.alloc(1), new Float64Array(1), new ArrayBuffer(1), 'x']);
  await producer.write(new Uint8Array(1), { spin: 5, timeout: 10, signal: AbortSignal.timeout(1) });
  producer.writeSync('x', { timeout: 5 });
  const slot: RingSlot | undefined = producer.reserve(10);
  slot?.view.fill(0);
  slot?.commit(5);
  const record: Buffer | undefined = consumer.tryRead();
  const records: Buffer[] = consumer.readBatch(10);
  const next: Buffer = await consumer.read();
  for await (const each of consumer) each.toString();
  const used: number = consumer.consume((view) => { view.readUInt8(0); }, 5);
  const cell = Cell.create({ capacity: 100 });
  const value: Buffer | undefined = cell.get();
  const newer: Buffer = await cell.next({ after: cell.version });
  const memory = SharedMemory.create({ size: 10 });
  Atomics.add(new Int32Array(memory.buffer.buffer), 0, 1);
  const child = fork('./child.js');
  child.send('take them', ring);
  await child.send('and this', memory, { receipt: true });
  child.on('message', (message, handle: Ring) => handle.consumer());
}

const code: SharedMemoryErrorCode = 'ERR_RSIPC_ROLE_TAKEN';

// @ts-expect-error objects are made by their own ways
new Ring();
// @ts-expect-error a capacity is needed
Ring.create({ name: 'x' });
// @ts-expect-error there is no such flavor
Ring.create({ capacity: 4_096, flavor: 'mpmc' });
// @ts-expect-error a name is needed
Cell.openOrCreate({ capacity: 5 });
// @ts-expect-error what blocks has no signal
producer.writeSync('x', { signal: AbortSignal.timeout(1) });
// @ts-expect-error numbers cannot be written
producer.tryWrite(5);
