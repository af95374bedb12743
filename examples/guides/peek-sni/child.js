const tls = require('node:tls');

const host = process.argv[2];
// As a rule: { key, cert } of this host.
const server = tls.createServer({ ciphers: 'PSK', maxVersion: 'TLSv1.2', pskCallback: () => Buffer.from('0123456789abcdef'), ALPNProtocols: ['http/1.1'] });
server.on('secureConnection', (socket) => socket.end(`hello from ${host}`));
process.on('message', (message, socket) => {
  if (socket) server.emit('connection', socket);
});
