'use strict';
// A net.Server of Node's at an endpoint: the native listener makes the socket, and keeps its name until the server closes.

const cluster = require('node:cluster');
const native = require('../binding.js');

// In a worker of a cluster `server.listen` would have the primary listen, to which this process's number means nothing.
function listen(server, fd, backlog, done) {
  if (cluster.isPrimary || server.listening || typeof server._listen2 !== 'function') {
    server.listen({ fd, backlog }, done);
  } else {
    server.once('listening', done);
    server._listen2(null, null, null, backlog, fd);
  }
}

// Calls `done` when it listens, as `server.listen` would. What goes wrong is thrown, or an 'error' event of the server.
function listenOn(server, listener, backlog, done) {
  const leave = () => listener.close();
  let fd;
  try {
    fd = listener.duplicate();
    server.once('error', leave);
    listen(server, fd, backlog, () => {
      server.removeListener('error', leave);
      // 'close' comes when the last connection has ended; until then nobody must find a name behind which nobody is.
      const handle = server._handle;
      const close = handle?.close;
      if (typeof close === 'function') {
        handle.close = function closeBoth(...args) {
          leave();
          return close.apply(this, args);
        };
      }
      done?.();
    });
    native.releaseFd(fd);
  } catch (error) {
    server.removeListener('error', leave);
    if (fd !== undefined) native.closeFd(fd);
    leave();
    throw error;
  }
  server.once('close', leave);
}

module.exports = { listenOn };
