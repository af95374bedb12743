const http = require('node:http');
const net = require('node:net');
const { fork, peek } = require('rsipc');

const children = new Map(['photos', 'videos'].map((name) => [name, fork(`${__dirname}/child.js`, [name])]));

// Paused: nobody reads, so all that a client sends stays where it is.
const server = net.createServer({ pauseOnConnect: true }, async (socket) => {
  try {
    const { method, headers } = await peek(socket, { timeout: 2_000 });
    const child = children.get(headers['x-collection']);
    console.log(method, headers['x-collection']); // → POST videos
    child.send('connection', socket); // the request is the child's, from its first byte on
  } catch {
    socket.destroy(); // no request, too slow, or for nobody
  }
});

server.listen(0, '127.0.0.1', () => {
  const upload = http.request({ port: server.address().port, method: 'POST', agent: false, headers: { 'X-Collection': 'videos' } });
  upload.on('response', (response) => response.setEncoding('utf8').on('data', (text) => {
    console.log(text); // → videos has 1048576 bytes
    server.close();
    for (const child of children.values()) child.disconnect();
  }));
  upload.end(Buffer.alloc(1024 * 1024));
});
