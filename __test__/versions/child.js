// A plain Node child of any version since 18: answers messages, talks on a socket it is given, and hands
// its parent a connection of its own.
'use strict';

const net = require('node:net');

process.on('message', (message, handle) => {
  switch (message.what) {
    case 'echo':
      process.send({ what: 'echo', value: message.value });
      break;
    case 'socket':
      handle.end(`child ${process.version}`);
      break;
    case 'give': {
      const server = net.createServer({ pauseOnConnect: true }, (socket) => {
        process.send({ what: 'given' }, socket);
        server.close();
      });
      server.listen(0, '127.0.0.1', () => process.send({ what: 'port', port: server.address().port }));
      break;
    }
    case 'end':
      process.disconnect();
      break;
  }
});
process.send({ what: 'up', version: process.version, rsipc: Symbol.for('rsipc.channel') in process });
