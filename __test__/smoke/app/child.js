'use strict';
// A child as anybody writes one: it has never heard of rsipc.

process.on('message', (message, socket) => {
  if (socket) {
    socket.end('from the child');
    return;
  }
  process.send({ echo: message, argv: process.argv.slice(2) });
  if (message.last) process.disconnect();
});
