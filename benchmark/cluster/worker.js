'use strict';
// A worker of the benchmark: counts the connections it has served.

const http = require('node:http');

let served = 0;
const server = http.createServer((request, response) => response.end('hello'));
server.on('connection', () => { served++; });
server.listen(0, '127.0.0.1');
process.on('message', () => process.send(served));
