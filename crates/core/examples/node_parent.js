'use strict';
// The child of the Rust program in node_parent.rs. It knows nothing of Rust: any parent may fork it.

process.on('message', (message, server) => {
  if (message === 'listen') {
    server.on('connection', (socket) => {
      socket.end('hello from Node');
      server.close();
    });
  } else {
    process.send(message.square ** 2);
  }
});
process.on('disconnect', () => console.log('the parent has disconnected')); // → the parent has disconnected
