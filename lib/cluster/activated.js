'use strict';
// Sockets that a service manager (`systemd.socket(5)`) has opened for the primary: a worker that listens where one is gets
// that one, and its file stays when nobody listens any more.

const path = require('node:path');
const native = require('../binding.js');
const { Fd } = require('../fork/fd.js');

const EVERYWHERE = new Set(['0.0.0.0', '::']);

let sockets; // looked for once: they are there from the beginning, and stay

function all() {
  return sockets ??= native.activated().map(({ fd, ...place }) => ({ fd: Fd.adopt(fd), ...place }));
}

// Whether a socket is what a worker's query asks for.
function is({ kind, address, port }, query) {
  const wanted = query.addressType === 'udp4' || query.addressType === 'udp6' ? 'udp' : query.addressType === -1 ? 'pipe' : 'tcp';
  if (kind !== wanted || address == null) return false;
  if (kind === 'pipe') return typeof query.address === 'string' && path.resolve(query.address) === address;
  return port === query.port && (query.address ? query.address === address : EVERYWHERE.has(address));
}

// As from another primary; undefined where nothing fits.
function activatedFor(query) {
  if (process.env.LISTEN_FDS === undefined || query.fd >= 0) return undefined;
  const found = all().find((socket) => is(socket, query));
  return found && { fd: new Fd(found.fd), fields: fieldsOf(found), stays: true };
}

function fieldsOf({ kind, address, port }) {
  return kind === 'tcp' ? { sockname: { address, port, family: address.includes(':') ? 'IPv6' : 'IPv4' } } : {};
}

module.exports = { activatedFor };
