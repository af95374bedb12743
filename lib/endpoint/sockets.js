'use strict';
// `pipe:name`, `rsipc:name` and `tcp://host:port` where the native part has no sockets of its own: on Windows. Node's
// sockets are below.
//
// Only this user and administrators can write to such a pipe, others can open it for reading: whoever does not say
// hello is sent nothing. Where the codec has no hello, others are kept out by its name alone.

const net = require('node:net');
const os = require('node:os');
const native = require('../binding.js');
const { rsipc } = require('../errors.js');
const { StreamEnd } = require('./stream-end.js');
const { StreamListener } = require('./stream-listener.js');

const nothing = () => {};
const PIPES = '\\\\.\\pipe\\';

// Where an endpoint is, for `listen` and `connect` of Node's.
function placeOf(endpoint) {
  const [scheme, host, port] = native.parseEndpoint(endpoint);
  const name = endpoint.slice(scheme.length + 1);
  switch (scheme) {
    case 'tcp': return { host, port: Number(port) };
    case 'pipe': return { path: name.startsWith(PIPES) ? name : `${PIPES}${name}` };
    // Pipes are the whole machine's.
    case 'rsipc': return { path: `${PIPES}rsipc-${os.userInfo().username}-${name}` };
    default: throw rsipc.unsupported(endpoint, 'endpoints of this kind do not exist on this system; use rsipc:name, pipe:name or tcp://host:port');
  }
}

// The system does not say who is at the other end, so nobody can be chosen by that.
function requireNobody(endpoint, { uids, gids }) {
  if (uids !== undefined || gids !== undefined) throw rsipc.unsupported(endpoint, 'this system does not tell users and groups; `allow` is \'same\' or \'anyone\' here');
}

function endOf(socket, settings) {
  if (typeof socket.setNoDelay === 'function') socket.setNoDelay(true);
  return new StreamEnd(socket, socket, settings.native);
}

async function bind(endpoint, settings, problem) {
  const place = placeOf(endpoint);
  const { backlog, mode, uid, gid, allow } = settings.listen;
  requireNobody(endpoint, allow);
  if (place.path !== undefined && (mode ?? uid ?? gid) !== undefined) throw rsipc.unsupported(endpoint, 'a pipe has no mode, uid or gid; say allow: \'anyone\' for other users');
  if (settings.believed !== null) throw rsipc.unsupported(endpoint, '`proxy` is not understood on this system');
  const server = net.createServer({ noDelay: true }, (socket) => {
    socket.on('error', nothing); // its end is told as well
    listener.take(socket);
  });
  server.maxConnections = settings.maxConnections + 1; // the one too many is told why
  const host = place.host?.includes(':') ? `[${place.host}]` : place.host;
  const listener = new StreamListener(server, (socket) => endOf(socket, settings), (at) => (host === undefined ? endpoint : `tcp://${host}:${at.port}`));
  const anyone = allow.anyone === true;
  return listener.listen({ ...place, backlog, readableAll: anyone, writableAll: anyone, exclusive: true }, problem);
}

// How a client gets an end.
function dialer(endpoint, settings) {
  const place = placeOf(endpoint);
  requireNobody(endpoint, settings.allow);
  const open = () => new Promise((resolve, reject) => {
    const socket = net.connect(place);
    const { signal } = settings;
    const failed = (error) => {
      signal?.removeEventListener('abort', abort);
      socket.destroy();
      reject(error);
    };
    const abort = () => failed(signal.reason);
    signal?.addEventListener('abort', abort, { once: true });
    socket.once('error', failed);
    socket.once('connect', () => {
      signal?.removeEventListener('abort', abort);
      socket.removeListener('error', failed);
      socket.on('error', nothing);
      resolve(endOf(socket, settings));
    });
  });
  return { endpoint, open };
}

module.exports = { bind, dialer };
