const net = require('node:net');
const { parent } = require('rsipc');

const server = net.createServer().listen(0, '127.0.0.1', async () => {
  parent.send('a server for you', server);
  await parent.send('another one', server, { receipt: true }).catch((error) => {
    console.log(error.code, '-', error.message); // → ERR_RSIPC_HANDLE_REJECTED - the parent did not take the handle: refused
  });
  server.close();
});
