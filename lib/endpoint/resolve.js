'use strict';
// Hosts by name are looked up by Node, which does not make the program wait. `open` gets an endpoint whose host is an
// address; of several addresses the first that it does not throw for.

const dns = require('node:dns/promises');
const net = require('node:net');
const native = require('../binding.js');

// The endpoints that one stands for, each with an address for its host.
async function addressed(endpoint) {
  const [scheme, host, port] = native.parseEndpoint(endpoint);
  if (host === undefined || net.isIP(host) !== 0 || host.includes('%')) return [endpoint];
  const found = await dns.lookup(host, { all: true });
  return found.map(({ address, family }) => `${scheme}://${family === 6 ? `[${address}]` : address}:${port}`);
}

async function resolved(endpoint, open) {
  let failure;
  for (const one of await addressed(endpoint)) {
    try {
      return open(one);
    } catch (error) {
      failure ??= error;
    }
  }
  throw failure;
}

module.exports = { addressed, resolved };
