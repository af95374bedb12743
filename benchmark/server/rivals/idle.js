'use strict';

// The least that a server by hand holds of a connection: the socket, and what has come of a line.

const net = require('node:net');

function contender() {
  return {
    async hold(_total, file) {
      const sockets = new Set();
      const server = net.createServer((socket) => {
        let rest = '';
        socket.setEncoding('utf8').on('data', (text) => { rest += text; });
        socket.on('close', () => sockets.delete(socket) && rest);
        socket.on('error', () => {});
        socket.write('hello\n');
        sockets.add(socket);
      });
      await new Promise((resolve) => server.listen({ path: file, backlog: 511 }, resolve));
      return { count: () => sockets.size };
    },
  };
}

module.exports = { contender };
