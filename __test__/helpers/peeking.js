'use strict';
// The first peek of an environment opens what watches for all of them, which stays. Where a thread waits in the place of
// libuv's loop (`RSIPC_NO_LIBUV=1`), sockets are among it.

const net = require('node:net');
const { peek } = require('../../index.js');
const { listening, closed, connection, HOST } = require('./handles.js');

module.exports = async function hasPeeked() {
  const server = await listening(net.createServer({ pauseOnConnect: true }), 0, HOST);
  const far = net.connect(server.address().port, HOST);
  const near = await connection(server, far);
  far.write('GET / HTTP/1.1\r\n\r\n');
  await peek(near);
  far.destroy();
  near.destroy();
  await closed(server);
};
