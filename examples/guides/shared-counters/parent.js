const { fork, SharedMemory } = require('rsipc');

(async () => {
  const memory = SharedMemory.create({ size: 4096 });
  const counters = new Int32Array(memory.buffer.buffer);
  const workers = [1, 2, 3].map(() => fork(`${__dirname}/child.js`));
  for (const worker of workers) await worker.send('count', memory, { receipt: true });
  for (const worker of workers) await worker.getOneMessage();
  console.log(counters[0]); // → 300000

  const { buffer } = memory;
  memory.close();
  console.log(buffer.length); // → 0
})();
