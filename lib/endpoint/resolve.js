'use strict';
// Hosts by name are looked up by Node, which does not make the program wait. `open` gets an endpoint whose host is an
// address; of several addresses the first that it does not throw for.

const dns = require('node:dns/promises');
const net = require('node:net');
const native = require('../binding.js');

async function resolved(endpoint, open) {
  const [scheme, host, port] = native.parseEndpoint(endpoint);
  if (host === undefined || net.isIP(host) !== 0 || host.includes('%')) return open(endpoint);
  let failure;
  for (const { address, family } of await dns.lookup(host, { all: true })) {
    try {
      return open(`${scheme}://${family === 6 ? `[${address}]` : address}:${port}`);
    } catch (error) {
      failure ??= error;
    }
  }
  throw failure;
}

module.exports = { resolved };
