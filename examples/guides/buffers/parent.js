const { fork, alloc, release } = require('rsipc');

const child = fork(`${__dirname}/child.js`, { serialization: 'advanced', payload: 'view' });
child.on('message', ({ frame, brightest }) => {
  console.log(brightest, frame[frame.length - 1]); // → 200 201
  release(frame); // or leave it to the garbage collector
  child.disconnect();
});
const frame = alloc(1920 * 1080); // lies in shared memory already
frame.fill(100);
frame[frame.length - 1] = 200;
child.send({ frame }); // from here on the frame is the child's
