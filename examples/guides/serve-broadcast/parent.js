const { serve } = require('rsipc');

(async () => {
  // A client that does not keep up misses the oldest messages; nobody waits for it.
  const server = await serve('unix:@guide.broadcast', { slowPeer: 'drop-oldest', allow: { uid: 'same' } });
  server.on('connection', async () => {
    if (server.connections.size < 2) return;
    const count = server.broadcast({ price: 42 });
    console.log('sent to', count); // → sent to 2
    await server.close(); // what was sent arrives first
  });
})();
