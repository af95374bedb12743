'use strict';
// `systemd:` where the socket that the service manager has opened takes packets: UDP, or datagrams or records of a UNIX
// socket. It is served as an endpoint of that kind is.

const native = require('../binding.js');

// Looks without keeping the copy.
function kindOf(endpoint) {
  const socket = native.activatedAt?.(endpoint) ?? null;
  if (socket !== null) native.closeFd(socket.fd);
  return socket?.kind;
}

// There is nothing to connect to: it says so.
const dialer = (endpoint, settings) => ({ endpoint, open: async () => native.connectEndpoint(endpoint, settings.allow, settings.native) });

function mediumOf(endpoint) {
  switch (kindOf(endpoint)) {
    case 'unix-dgram':
      return { ...require('./unix-packets.js').datagrams, dialer };
    case 'unix-seqpacket':
      return { ...require('./unix-packets.js').records, dialer };
    case 'udp': {
      const udp = require('./udp.js');
      return { ...udp, dialer, bind: (_, settings, problem) => udp.adopt(endpoint, native.activatedAt(endpoint), settings, problem) };
    }
    default:
      return null;
  }
}

module.exports = { mediumOf };
