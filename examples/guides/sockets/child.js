process.on('message', (message, socket) => {
  console.log(message, socket.constructor.name); // → take it Socket
  socket.end('answered by the child');
});
