const { spawn } = require('node:child_process');
const ipc = require('rsipc/node-ipc'); // was: require('node-ipc')

ipc.config.id = `world-${process.pid}`;
ipc.config.silent = true;

ipc.serve(() => {
  ipc.server.on('message', (data, socket) => {
    console.log('server:', data); // → server: { id: 'hello', text: 'hello' }
    ipc.server.emit(socket, 'message', `${data.text} world`);
  });
  ipc.server.on('socket.disconnected', (socket, id) => {
    console.log('server:', id, 'has gone'); // → server: hello has gone
    ipc.server.stop();
  });
  spawn(process.execPath, [`${__dirname}/child.js`, ipc.config.id], { stdio: 'inherit' });
});

ipc.server.start();
