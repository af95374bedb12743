'use strict';

// Holds the far ends of the connections for the sockets scenario, so that neither the sender nor
// the receiver spends time on them.

const net = require('node:net');

let held = [];

process.on('message', async ({ connect, port }) => {
  for (const socket of held) socket.resetAndDestroy();
  held = await Promise.all(Array.from({ length: connect }, () => new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: '127.0.0.1' });
    // Never read: the end of a connection is then no event in this process.
    socket.pause();
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.removeListener('error', reject);
      socket.on('error', () => {});
      resolve(socket);
    });
  })));
  process.send({ connected: held.length });
});
