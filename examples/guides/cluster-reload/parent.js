const cluster = require('rsipc/cluster');

cluster.setupPrimary({ exec: `${__dirname}/child.js`, respawn: true });
cluster.fork().once('listening', async () => {
  const [worker] = await cluster.reload({ timeout: 10_000 });
  console.log(worker.id, Object.keys(cluster.workers)); // → 2 [ '2' ]

  // A new worker that does not get ready leaves the old one in place.
  process.env.BROKEN = '1';
  await cluster.reload().catch((error) => {
    console.log(error.code, Object.keys(cluster.workers)); // → ERR_RSIPC_WORKER_NOT_READY [ '2' ]
  });

  const results = await cluster.broadcast({ hello: 'all' });
  console.log(results.map(({ worker, error }) => [worker.id, error])); // → [ [ 2, null ] ]
  cluster.disconnect();
});
