'use strict';

// 64 B records written with tryWriteBatch and read with readBatch, until the child has counted them all, a second.

const { SIZE, mix } = require('../record.js');
const { start } = require('../peer.js');
const channel = require('../../fork/scenarios/to-child.js');

const BATCH = 1_024;

async function batches(job) {
  const { Ring, total, rivalTotal } = job;
  if (Ring === undefined) return channel({ ...job, kind: '64 B', total: Math.min(total, rivalTotal) });
  const { producer, consumer, finish } = await start(job, 'count', { total });
  const records = Array.from({ length: BATCH }, () => Buffer.alloc(SIZE));
  let rate = 0;
  // The first run is a warm-up.
  for (let run = 0; run < 2; run++) {
    const begun = performance.now();
    let checksum = 0;
    for (let number = 0; number < total;) {
      const batch = total - number < BATCH ? records.slice(0, total - number) : records;
      batch.forEach((record, index) => record.writeUInt32LE(number + index, 0));
      let written = producer.tryWriteBatch(batch);
      if (written === 0) {
        await producer.write(batch[0]);
        written = 1;
      }
      for (const end = number + written; number < end; number++) checksum = mix(checksum, number);
    }
    const report = JSON.parse(await consumer.read());
    rate = (total / (performance.now() - begun)) * 1000;
    if (report.seen !== total || report.checksum !== checksum) throw new Error(`${total} records were sent, ${report.seen} came`);
  }
  await finish();
  return rate;
}

module.exports = batches;
