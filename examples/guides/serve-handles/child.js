const { connect } = require('rsipc');

(async () => {
  const client = await connect('rsipc:guide.handles', { reconnect: { retries: 50 } });
  client.on('message', (message, socket) => {
    console.log(message); // → a visitor
    socket.end('hello from the worker');
    client.close();
  });
})();
