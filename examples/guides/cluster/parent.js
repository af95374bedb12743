const http = require('node:http');
const cluster = require('rsipc/cluster'); // was: require('node:cluster')

const get = (port) => new Promise((resolve) => {
  http.get({ port, agent: false }, (response) => {
    response.setEncoding('utf8').on('data', resolve);
  });
});

cluster.setupPrimary({ exec: `${__dirname}/child.js` });
cluster.fork();
cluster.once('listening', () => cluster.fork().once('listening', async ({ port }) => {
  console.log(await get(port), await get(port), await get(port)); // → worker 1 worker 2 worker 1

  cluster.workers[1].pause(); // gets no new connections
  console.log(await get(port), await get(port)); // → worker 2 worker 2
  cluster.disconnect();
}));
