const { fork, Ring } = require('rsipc');

const FRAME = 1280 * 720 * 3;

(async () => {
  const ring = Ring.create({ capacity: 8 * FRAME });
  const consumer = ring.consumer();
  const camera = fork(`${__dirname}/child.js`);
  await camera.send({ frames: 30, bytes: FRAME }, ring, { receipt: true });

  let seen = 0;
  let kept;
  while (seen < 30) {
    // The view is the ring's own memory: nothing is copied. It is empty when `use` has returned.
    const used = consumer.consume((frame) => {
      if (frame[0] !== seen || frame[FRAME - 1] !== seen) throw new Error('not the next frame');
      kept = frame;
      seen++;
    });
    if (used === 0) {
      const frame = await consumer.read(); // sleeps; this one is a copy
      if (frame[0] !== seen++) throw new Error('not the next frame');
    }
  }
  console.log(seen, 'frames'); // → 30 frames
  console.log(kept === undefined || kept.length === 0); // → true
  camera.disconnect();
  ring.close();
})();
