'use strict';
// Message servers and clients.

module.exports = {
  serve: require('./server.js').serve,
  connect: require('./client.js').connect,
};
