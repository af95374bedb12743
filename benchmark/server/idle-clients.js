'use strict';

// So many connections that say hello as the wire has it, and then nothing.

const net = require('node:net');

const [path, total] = process.argv.slice(2);
let made = 0;

function one() {
  if (made++ >= Number(total)) return;
  const socket = net.connect(path);
  socket.write('rsipc/1 {"codec":"json","slabs":1}\n');
  socket.once('data', one);
}

for (let i = 0; i < 50; i++) one();
process.on('disconnect', () => process.exit());
