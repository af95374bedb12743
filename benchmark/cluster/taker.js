'use strict';
// A worker of the benchmark: says how many nanoseconds there were between the first and the last of so many connections.

const net = require('node:net');

let left = 0;
let first;
net.createServer((socket) => {
  first ??= process.hrtime.bigint();
  socket.destroy();
  if (--left === 0) process.send(Number(process.hrtime.bigint() - first));
}).listen(0, '127.0.0.1');
process.on('message', (count) => {
  left = count;
  first = undefined;
});
