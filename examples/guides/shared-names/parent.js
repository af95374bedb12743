const { spawn } = require('node:child_process');
const { Ring } = require('rsipc');

(async () => {
  const name = `orders-${process.pid}`;
  // Any process of this user finds it, whoever started that.
  const ring = Ring.create({ name, capacity: 4096 });
  const consumer = ring.consumer();

  const stranger = spawn(process.execPath, [`${__dirname}/child.js`, name], { stdio: 'inherit' });
  console.log(String(await consumer.read())); // → from a process without a channel
  stranger.kill('SIGKILL'); // with the role of producer in its hands
  await new Promise((resolve) => stranger.once('exit', resolve));

  const producer = ring.producer(); // the dead have no roles
  producer.tryWrite('from its successor');
  console.log(String(consumer.tryRead())); // → from its successor

  ring.unlink(); // nobody finds it any more; who has it keeps it
  ring.close();
})();
