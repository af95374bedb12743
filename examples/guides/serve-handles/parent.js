const net = require('node:net');
const { serve } = require('rsipc');

(async () => {
  const server = await serve('rsipc:guide.handles');
  server.on('connection', (worker) => {
    // Whoever comes to this door is answered by the other process, which is no child of this one.
    let taken;
    const door = net.createServer({ pauseOnConnect: true }, (socket) => {
      taken = worker.send('a visitor', socket); // resolves when a listener over there has it
      door.close();
    });
    door.listen(0, '127.0.0.1', () => {
      net.connect(door.address().port, '127.0.0.1').setEncoding('utf8').on('data', async (text) => {
        await taken;
        console.log('handed over, and answered:', text); // → handed over, and answered: hello from the worker
        server.close();
      });
    });
  });
})();
