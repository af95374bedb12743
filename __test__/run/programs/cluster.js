'use strict';
// A program that makes a cluster of its server itself, with node:cluster.

const cluster = require('node:cluster');

if (cluster.isPrimary) {
  for (let number = 0; number < 2; number++) cluster.fork();
  process.on('SIGTERM', () => cluster.disconnect());
} else {
  require('./server.js');
}
