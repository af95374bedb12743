'use strict';
// A worker of the benchmark: says how many connections it has served, and with how much CPU time.

const http = require('node:http');

let served = 0;
const server = http.createServer((request, response) => response.end('hello'));
server.on('connection', () => { served++; });
const { REUSE_PORT } = process.env;
server.listen({ port: Number(REUSE_PORT ?? 0), host: '127.0.0.1', reusePort: REUSE_PORT !== undefined });
process.on('message', () => {
  const { user, system } = process.cpuUsage();
  process.send({ served, cpu: user + system });
});

module.exports = server;
