'use strict';
// `tls://`: Node's own TLS below, with certificates on both sides where the options ask for them.

const tls = require('node:tls');
const native = require('../binding.js');
const { node, rsipc } = require('../errors.js');
const { LONGEST_TIMER } = require('./settings.js');
const { StreamEnd } = require('./stream-end.js');
const { StreamListener } = require('./stream-listener.js');

const nothing = () => {};

// Whom a certificate names. The kernel knows nobody here.
function peerOf(socket) {
  const { subject, fingerprint256 } = socket.getPeerCertificate();
  return subject === undefined ? null : { authorized: socket.authorized, subject: { ...subject }, fingerprint256 };
}

function endOf(socket, settings) {
  socket.setNoDelay(true);
  const end = new StreamEnd(socket, socket, settings.native);
  end.peer = peerOf(socket);
  return end;
}

// Errors of single clients go to `problem`.
async function bind(endpoint, settings, problem) {
  const [, host, port] = native.parseEndpoint(endpoint);
  if (settings.tls === undefined) throw node.invalidType('options.tls', 'of type object with a key and a cert', settings.tls);
  const server = tls.createServer({ handshakeTimeout: settings.helloTimeout, ...settings.tls, pauseOnConnect: false });
  server.maxConnections = settings.maxConnections + 1; // the one too many is told why
  server.on('tlsClientError', (error, socket) => {
    socket.on('error', nothing);
    problem(error);
  });
  const name = host.includes(':') ? `[${host}]` : host;
  const listener = new StreamListener(server, (socket) => endOf(socket, settings), (at) => `tls://${name}:${at.port}`);
  server.on('secureConnection', (socket) => listener.take(socket));
  return listener.listen({ host, port: Number(port), backlog: settings.listen.backlog }, problem);
}

// How a client gets an end.
function dialer(endpoint, settings) {
  const [, host, port] = native.parseEndpoint(endpoint);
  const open = () => new Promise((resolve, reject) => {
    const socket = tls.connect({ host, port: Number(port), ...settings.tls });
    const done = () => {
      clearTimeout(timer);
      settings.signal?.removeEventListener('abort', abort);
    };
    const failed = (error) => {
      done();
      socket.destroy();
      reject(error);
    };
    const abort = () => failed(settings.signal.reason);
    // Who accepts and says nothing would be waited for without end.
    const { helloTimeout } = settings;
    const late = () => failed(rsipc.protocol('ERR_RSIPC_HELLO_TIMEOUT', `the server at ${endpoint} has not completed the TLS handshake within ${helloTimeout} ms`));
    const timer = helloTimeout > LONGEST_TIMER ? undefined : setTimeout(late, helloTimeout);
    settings.signal?.addEventListener('abort', abort, { once: true });
    socket.once('error', failed);
    socket.once('secureConnect', () => {
      done();
      socket.removeListener('error', failed);
      resolve(endOf(socket, settings));
    });
  });
  return { endpoint, open };
}

module.exports = { bind, dialer };
