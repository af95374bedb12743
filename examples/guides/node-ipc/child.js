const ipc = require('rsipc/node-ipc');

ipc.config.silent = true;

const server = process.argv[2];
ipc.connectTo(server, () => {
  ipc.of[server].on('connect', () => ipc.of[server].emit('message', { id: 'hello', text: 'hello' }));
  ipc.of[server].on('message', (data) => {
    console.log('client:', data); // → client: hello world
    ipc.disconnect(server);
  });
});
