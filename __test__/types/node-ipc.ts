// What a program on rsipc/node-ipc may write.

import ipc = require('rsipc/node-ipc');

ipc.config.id = 'world';
ipc.config.retry = 1500;
ipc.config.tls = { private: 'key', public: 'cert', trustedConnections: ['other'] };
ipc.serve(() => {
  ipc.server.on('message', (data, socket) => ipc.server.emit(socket, 'answer', data));
  ipc.server.on('socket.disconnected', (socket, id) => {
    const name: string | false = id;
    void [socket.destroyed, name];
  });
  ipc.server.broadcast('news', { a: 1 });
});
ipc.server.start();
ipc.server.stop();
ipc.serveNet('127.0.0.1', 8000, 'udp4', () => {
  ipc.server.emit({ address: '127.0.0.1', port: 8001 }, 'message', 1);
});
ipc.connectTo('world', '/tmp/socket', () => {
  ipc.of.world.on('connect', () => ipc.of.world.emit('message', 'hello'));
  ipc.of.world.off('message', '*');
});
ipc.connectToNet('world', 8000);
const another = new ipc.IPC();
another.config.silent = true;
const clients: Record<string, ipc.Client> = another.of;
void clients;
// @ts-expect-error: an id is text
ipc.disconnect(1);
