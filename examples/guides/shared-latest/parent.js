const { fork, Cell } = require('rsipc');

(async () => {
  const config = Cell.create({ capacity: 1024 });
  config.set(JSON.stringify({ limit: 10 }));
  const worker = fork(`${__dirname}/child.js`);
  await worker.send('config', config, { receipt: true });
  await worker.getOneMessage();
  config.set(JSON.stringify({ limit: 20 })); // whoever waits is woken
  await worker.getOneMessage();
  console.log('version', config.version); // → version 2
  worker.disconnect();
  config.close();
})();
