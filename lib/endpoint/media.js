'use strict';
// Endpoints that are no stream of the native part's own, by their scheme. Each has `bind`, which answers what looks like the native
// listener, and `dialer`, which tells how to get an end; `shape` fits the settings to what it can do.

const native = require('../binding.js');

const MEDIA = {
  tls: () => require('./tls.js'),
  fifo: () => require('./fifo.js'),
  udp: () => require('./udp.js'),
  'unix+dgram': () => require('./unix-packets.js').datagrams,
  'unix+seqpacket': () => require('./unix-packets.js').records,
  systemd: (endpoint) => require('./activated.js').mediumOf(endpoint),
  file: () => require('./directory.js'),
};
// Of those only these where the native part has no sockets; the other endpoints are Node's there.
const ANYWHERE = ['tls', 'udp'];

// The one of an endpoint, or null where connections are streams of the native part's own.
function mediumOf(endpoint) {
  if (typeof endpoint !== 'string') return null;
  const scheme = endpoint.slice(0, endpoint.indexOf(':'));
  if (native.Listener === undefined && !ANYWHERE.includes(scheme)) return require('./sockets.js');
  return Object.hasOwn(MEDIA, scheme) ? MEDIA[scheme](endpoint) : null;
}

// The settings for an end there: `check` is that of servers or of clients.
function settingsAt(endpoint, options, check, role) {
  const medium = mediumOf(endpoint);
  if (medium?.shape === undefined) return check(options);
  native.parseEndpoint(endpoint); // throws for what is none
  return medium.shape(endpoint, options, check, role);
}

// The path of an endpoint that is one, `scheme:/path` or `scheme:///path`.
function pathOf(endpoint) {
  const path = endpoint.slice(endpoint.indexOf(':') + 1);
  return path.startsWith('//') ? path.slice(2) : path;
}

// Why what lies at a path is not for the ends that `allow` names, or null. `stat` is what the system says of it.
function distrust(stat, allow, writable = 0o022) {
  if (allow.anyone) return null;
  const { uids, gids } = allow;
  if (uids === undefined && gids === undefined) {
    if (stat.uid !== process.geteuid()) return `belongs to user ${stat.uid}`;
    return (stat.mode & writable) === 0 ? null : 'can be written by others; make it mode 0700 or 0600, or say with allow who they are';
  }
  if (uids !== undefined && stat.uid !== process.geteuid() && !uids.includes(stat.uid)) return `belongs to user ${stat.uid}, who is not among the allowed ones`;
  if (gids !== undefined && !gids.includes(stat.gid)) return `belongs to group ${stat.gid}, which is not among the allowed ones`;
  return null;
}

module.exports = { mediumOf, settingsAt, pathOf, distrust };
