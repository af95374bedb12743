const http = require('node:http');
const cluster = require('rsipc/cluster');

const get = (port, sid) => new Promise((resolve) => {
  http.get({ port, agent: false, headers: { cookie: `sid=${sid}` } }, (response) => {
    response.setEncoding('utf8').on('data', resolve);
  });
});

cluster.setupPrimary({ exec: `${__dirname}/child.js`, sticky: { by: 'cookie', name: 'sid' } });
cluster.fork();
cluster.once('listening', () => cluster.fork().once('listening', async ({ port }) => {
  const workers = [];
  for (let request = 0; request < 5; request++) workers.push(await get(port, 'a client'));
  console.log(new Set(workers).size); // → 1
  cluster.disconnect();
}));
