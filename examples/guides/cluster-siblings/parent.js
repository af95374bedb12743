const cluster = require('rsipc/cluster');

cluster.setupPrimary({ exec: `${__dirname}/child.js` });
cluster.fork().once('message', () => {
  cluster.fork().once('message', () => cluster.disconnect());
});
