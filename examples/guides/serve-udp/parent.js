const { serve } = require('rsipc');

(async () => {
  const server = await serve('udp://127.0.0.1:47113');
  server.on('connection', (sensor) => {
    sensor.on('message', ({ celsius }) => {
      if (!server.listening) return; // sent again before it had our answer
      console.log('measured', celsius); // → measured 21
      sensor.send('thank you');
      server.close();
    });
  });
})();
