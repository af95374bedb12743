require('rsipc');

const objects = {};
process.on('message', async (message, object) => {
  objects[message] = object;
  if (message !== 'lock') return;
  const { barrier, event, lock } = objects;
  await barrier.wait();
  await event.wait();
  const reading = await lock.read(); // beside others who read, never beside one who writes
  process.send(`${process.argv[2]} reads`);
  reading.release();
});
