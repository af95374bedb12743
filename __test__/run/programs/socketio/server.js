'use strict';
// A socket.io server as anybody would write it. It knows nothing of clusters.

const http = require('node:http');
const { Server } = require('socket.io');

const server = http.createServer((request, response) => {
  response.end(JSON.stringify({ pid: process.pid, url: request.url, sessions: io.engine.clientsCount }));
});
const io = new Server(server, { cookie: { name: 'io' } });
io.on('connection', (socket) => {
  socket.on('echo', (value, answer) => answer({ pid: process.pid, value }));
});
server.listen(Number(process.env.PORT));
