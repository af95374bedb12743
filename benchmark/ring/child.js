'use strict';

// The other end of the rings: it has rsipc loaded, and gets them as handles.

const { SIZE, mix } = require('./record.js');

const [moduleName, role, text] = process.argv.slice(2);
require(moduleName);
const options = JSON.parse(text);

const roles = {
  /** Returns every record. */
  async echo(consumer, producer) {
    for (;;) {
      const record = await consumer.read(options);
      if (!producer.tryWrite(record)) throw new Error('the way back is full');
    }
  },

  /** Counts records of batches, and reports each time that the last of a run is there. */
  async count(consumer, producer) {
    for (;;) {
      let seen = 0;
      let checksum = 0;
      while (seen < options.total) {
        const batch = consumer.readBatch(Math.min(1_024, options.total - seen));
        if (batch.length === 0) batch.push(await consumer.read());
        for (const record of batch) {
          if (record.length !== SIZE) throw new Error(`a record of ${record.length} bytes`);
          checksum = mix(checksum, record.readUInt32LE(0));
        }
        seen += batch.length;
      }
      producer.tryWrite(JSON.stringify({ seen, checksum }));
    }
  },

  /** The same with large records where they lie. */
  async views(consumer, producer) {
    for (;;) {
      let seen = 0;
      let checksum = 0;
      const use = (view) => {
        if (view.readUInt32LE(view.length - 4) !== seen) throw new Error('a record is torn or out of order');
        checksum = mix(checksum, view.readUInt32LE(0));
        seen++;
      };
      while (seen < options.total) if (consumer.consume(use, options.total - seen) === 0) use(await consumer.read());
      producer.tryWrite(JSON.stringify({ seen, checksum }));
    }
  },
};

const rings = {};
process.on('message', (name, ring) => {
  rings[name] = ring;
  if (rings.there === undefined || rings.back === undefined) return;
  for (const each of Object.values(rings)) each.unref(); // the channel keeps this process
  roles[role](rings.there.consumer(), rings.back.producer());
});
process.send('ready');
