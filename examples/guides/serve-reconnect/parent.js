const { serve } = require('rsipc');

(async () => {
  let server = await serve('rsipc:guide.reconnect');
  let orders = 0;
  const seen = new Set();
  const order = (item, { id, resent }) => {
    if (resent && seen.has(id)) return 'had that one';
    seen.add(id);
    if (++orders === 2) {
      for (const client of server.connections) client.destroy(); // as if it had crashed before it answered
      server.close().then(async () => {
        server = await serve('rsipc:guide.reconnect');
        server.handle('order', order);
        server.handle('stop', () => { setImmediate(() => server.close()); });
      });
    }
    return `ordered ${item}`;
  };
  server.handle('order', order);
})();
