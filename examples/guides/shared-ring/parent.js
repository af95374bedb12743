const { fork, Ring } = require('rsipc');

(async () => {
  const ring = Ring.create({ capacity: 64 * 1024, flavor: 'mpsc' });
  const consumer = ring.consumer();
  const workers = [1, 2].map(() => fork(`${__dirname}/child.js`));
  // An object without a name travels as a handle, and stays this process's as well.
  for (const worker of workers) await worker.send('write here', ring, { receipt: true });

  let sum = 0;
  let records = 0;
  for await (const record of consumer) { // sleeps while the ring is empty
    sum += record.readUInt32LE(0);
    if (++records === 2_000) break;
  }
  console.log(records, 'records, sum', sum); // → 2000 records, sum 999000

  // Many small ones at a time: one copy, one view for each.
  for (const worker of workers) worker.send('again');
  for (records = 0; records < 2_000;) {
    const batch = consumer.readBatch();
    records += batch.length;
    if (batch.length === 0) {
      await consumer.read();
      records++;
    }
  }
  console.log(records, 'more'); // → 2000 more
  for (const worker of workers) worker.disconnect();
  ring.close();
})();
