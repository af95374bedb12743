require('rsipc');

let producer;
process.on('message', async (message, ring) => {
  producer ??= ring.producer();
  const records = Array.from({ length: 1_000 }, (_, number) => {
    const record = Buffer.alloc(64);
    record.writeUInt32LE(number);
    return record;
  });
  // As many as there is room for become visible at once; `write` waits for room.
  for (let next = 0; next < records.length;) {
    const written = producer.tryWriteBatch(records.slice(next));
    next += written;
    if (written === 0) await producer.write(records[next++]);
  }
});
