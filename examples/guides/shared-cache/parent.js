const cluster = require('node:cluster');
const { SharedMap } = require('rsipc');

const name = `cache-${process.pid}`;
const cache = SharedMap.create({ name, capacity: 4 * 1024 * 1024 });

cluster.setupPrimary({ exec: `${__dirname}/child.js`, args: [name] });
const workers = [cluster.fork(), cluster.fork()];
let left = workers.length;
cluster.on('exit', () => {
  if (--left > 0) return;
  // Each worker asked for 100 users, and each user was computed by one of them.
  console.log('hits and misses', cache.count('hits') + cache.count('misses')); // → hits and misses 200n
  console.log('computed by one', cache.count('stored')); // → computed by one 100n
  console.log(String(cache.get('user 7'))); // → {"name":"user 7"}
  cache.unlink();
  cache.close();
});
