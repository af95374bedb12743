const http = require('node:http');
const cluster = require('rsipc/cluster');

const get = (port) => new Promise((resolve) => {
  http.get({ port, agent: false }, (response) => response.setEncoding('utf8').on('data', resolve));
});

cluster.setupPrimary({ exec: `${__dirname}/child.js`, threads: true });
cluster.fork();
cluster.once('listening', () => cluster.fork().once('listening', async ({ port }) => {
  console.log(await get(port)); // → worker 1, in thread 1
  console.log(await get(port)); // → worker 2, in thread 2

  const [first] = await cluster.reload();
  console.log(await get(port), first.process.pid === process.pid); // → worker 3, in thread 3 true
  cluster.disconnect();
}));
