'use strict';

// 1 MiB records, copied once into the ring and read where they lie, a second. Beside it: the same number of copies
// within one process over as much memory.

const { mix } = require('../record.js');
const { start } = require('../peer.js');

const SIZE = 1024 * 1024;
const FOOTPRINT = 16;

function memcpy({ total }) {
  const source = Buffer.alloc(SIZE, 1);
  const target = Buffer.alloc(FOOTPRINT * SIZE);
  const run = () => {
    const begun = performance.now();
    for (let count = 0; count < total; count++) source.copy(target, (count % FOOTPRINT) * SIZE);
    return (total / (performance.now() - begun)) * 1000;
  };
  run();
  return run();
}

async function views(job) {
  const { Ring, total } = job;
  if (Ring === undefined) return memcpy(job);
  const { producer, consumer, finish } = await start(job, 'views', { total });
  const source = Buffer.alloc(SIZE, 1);
  let rate = 0;
  for (let run = 0; run < 2; run++) {
    const begun = performance.now();
    let checksum = 0;
    for (let number = 0; number < total; number++) {
      source.writeUInt32LE(number, 0);
      source.writeUInt32LE(number, SIZE - 4);
      checksum = mix(checksum, number);
      const slot = producer.reserve(SIZE);
      if (slot === undefined) {
        await producer.write(source);
        continue;
      }
      source.copy(slot.view);
      slot.commit();
    }
    const report = JSON.parse(await consumer.read());
    rate = (total / (performance.now() - begun)) * 1000;
    if (report.seen !== total || report.checksum !== checksum) throw new Error(`${total} records were sent, ${report.seen} came`);
  }
  await finish();
  return rate;
}

module.exports = views;
