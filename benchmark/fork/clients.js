'use strict';

// Holds the far ends of the connections for the sockets scenario, so that neither the sender nor
// the receiver spends time on them.

const net = require('node:net');

/**
 * Connections asked for at once. More than the server's queue of unaccepted ones (511) and the kernel may
 * drop one of which this side believes that it stands: nobody would ever hear of it again.
 */
const AT_ONCE = 100;

let held = [];

process.on('message', async ({ connect, port }) => {
  for (const socket of held) socket.resetAndDestroy();
  held = [];
  while (held.length < connect) {
    const more = Array.from({ length: Math.min(AT_ONCE, connect - held.length) }, () => open(port));
    held.push(...await Promise.all(more));
  }
  process.send({ connected: held.length });
});

function open(port) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: '127.0.0.1' });
    // Never read: the end of a connection is then no event in this process.
    socket.pause();
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.removeListener('error', reject);
      socket.on('error', () => {});
      resolve(socket);
    });
  });
}
