'use strict';

// One live TCP connection that changes hands: accepted in this process, answered in another.

const net = require('node:net');

const PATIENCE = 10_000;

/**
 * Connects to a server of our own on the loopback, gives the accepted socket to `child`, and
 * resolves to what the client hears. Rejects unless it was the child that answered.
 */
async function handOver(child) {
  // Not read before it is handed over: what the client says is for the child.
  const server = net.createServer({ pauseOnConnect: true });
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  try {
    const sent = new Promise((resolve, reject) => {
      server.once('connection', (socket) => {
        child.send({ type: 'connection' }, socket, (error) => error ? reject(error) : resolve());
      });
    });
    const [heard] = await Promise.all([greet(server.address().port), sent]);
    if (!heard.endsWith(`process ${child.pid}`)) throw new Error(`the client heard ${JSON.stringify(heard)}, not worker ${child.pid}`);
    return heard;
  } finally {
    server.close();
  }
}

/** The client: says hello and hears the answer out. */
function greet(port) {
  return new Promise((resolve, reject) => {
    const client = net.connect({ port, host: '127.0.0.1' }, () => client.write('hello'));
    let heard = '';
    client.setEncoding('utf8');
    client.setTimeout(PATIENCE, () => client.destroy(new Error(`no answer on the connection within ${PATIENCE / 1000} s`)));
    client.on('data', (text) => { heard += text; });
    client.on('end', () => resolve(heard));
    client.on('error', reject);
  });
}

module.exports = { handOver };
