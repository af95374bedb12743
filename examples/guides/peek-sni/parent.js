const net = require('node:net');
const tls = require('node:tls');
const { fork, peek } = require('rsipc');

const children = new Map(['a.example', 'b.example'].map((host) => [host, fork(`${__dirname}/child.js`, [host])]));

const server = net.createServer({ pauseOnConnect: true }, async (socket) => {
  try {
    const { sni, alpn } = await peek(socket, { for: 'tls' });
    console.log(sni, alpn); // → b.example [ 'http/1.1' ]
    children.get(sni).send('connection', socket); // the child shakes hands: no key is needed here
  } catch {
    socket.destroy();
  }
});

server.listen(0, '127.0.0.1', () => {
  // A key both sides know stands in for a certificate, so that this runs anywhere.
  const pskCallback = () => ({ psk: Buffer.from('0123456789abcdef'), identity: 'guide' });
  const client = tls.connect({
    port: server.address().port, servername: 'b.example', ALPNProtocols: ['http/1.1'],
    ciphers: 'PSK', maxVersion: 'TLSv1.2', pskCallback, checkServerIdentity: () => {},
  });
  client.setEncoding('utf8').on('data', (text) => console.log(text)); // → hello from b.example
  client.on('close', () => {
    server.close();
    for (const child of children.values()) child.disconnect();
  });
});
