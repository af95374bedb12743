require('rsipc');

process.once('message', async ({ frames, bytes }, ring) => {
  const producer = ring.producer();
  for (let number = 0; number < frames;) {
    const slot = producer.reserve(bytes); // room in the ring itself
    if (slot === undefined) {
      await new Promise(setImmediate); // full: the reader is behind
      continue;
    }
    slot.view.fill(number++); // where a decoder would write
    slot.commit(); // nobody sees it before
  }
});
