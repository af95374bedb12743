const { serve } = require('rsipc');

(async () => {
  const server = await serve('rsipc:guide.basics');
  server.handle('add', ({ a, b }) => a + b);
  server.on('connection', (client) => {
    console.log('same user:', client.peer.uid === process.getuid()); // → same user: true
    client.on('message', (message) => client.send({ you: message }));
    client.on('close', () => server.close());
  });
})();
