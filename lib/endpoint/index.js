'use strict';
// Message servers and clients.

module.exports = {
  serve: require('./server.js').serve,
  connect: require('./client.js').connect,
  get httpOver() {
    return require('./http.js').httpOver;
  },
};
