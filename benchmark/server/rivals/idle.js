'use strict';

// The least that a server by hand holds of a connection: the socket, and what has come of a line.

const net = require('node:net');
const os = require('node:os');
const path = require('node:path');

function contender() {
  return {
    async hold() {
      const sockets = new Set();
      const place = path.join(os.tmpdir(), `rsipc-bench-${process.pid}-idle.sock`);
      const server = net.createServer((socket) => {
        let rest = '';
        socket.setEncoding('utf8').on('data', (text) => { rest += text; });
        socket.on('close', () => sockets.delete(socket) && rest);
        socket.on('error', () => {});
        socket.write('hello\n');
        sockets.add(socket);
      });
      await new Promise((resolve) => server.listen({ path: place, backlog: 511 }, resolve));
      return { path: place, count: () => sockets.size };
    },
  };
}

module.exports = { contender };
