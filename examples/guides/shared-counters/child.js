require('rsipc');

process.once('message', (message, memory) => {
  const counters = new Int32Array(memory.buffer.buffer);
  // `counters[0]++` would lose some: others count too.
  for (let turn = 0; turn < 100_000; turn++) Atomics.add(counters, 0, 1);
  process.send('counted'); // and ends: nothing else keeps it
});
