'use strict';

// Median time of 64 B to the child and back, one record under way at a time, in microseconds.

const { SIZE } = require('../record.js');
const { start } = require('../peer.js');
const channel = require('../../fork/scenarios/round-trip.js');

async function roundTrip(job) {
  const { Ring, spin, total } = job;
  if (Ring === undefined) return channel({ ...job, kind: '64 B' });
  const { producer, consumer, finish } = await start(job, 'echo', { spin });
  const record = Buffer.alloc(SIZE, 7);
  const times = [];
  for (let index = -total; index < total; index++) {
    record.writeInt32LE(index, 0);
    const sent = performance.now();
    if (!producer.tryWrite(record)) throw new Error('the ring is full');
    const answer = await consumer.read({ spin });
    const time = performance.now() - sent;
    if (answer.readInt32LE(0) !== index || answer.length !== SIZE) throw new Error(`record ${index} came back as another`);
    if (index >= 0) times.push(time);
  }
  await finish();
  return times.sort((a, b) => a - b)[times.length >> 1] * 1000;
}

module.exports = roundTrip;
