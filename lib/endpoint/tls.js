'use strict';
// `tls://`: Node's own TLS below, with certificates on both sides where the options ask for them. Looks like the native
// listener, and hands out ends that look like native ones.

const tls = require('node:tls');
const native = require('../binding.js');
const { node, rsipc } = require('../errors.js');
const { LONGEST_TIMER } = require('./settings.js');
const { StreamEnd } = require('./stream-end.js');

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

class TlsListener {
  #server;
  #settings;
  #waiting = [];
  #name;
  #closed = false;

  // Resolves when it listens; errors of single clients go to `problem`.
  static async bind(endpoint, settings, problem) {
    const [, host, port] = native.parseEndpoint(endpoint);
    if (settings.tls === undefined) throw node.invalidType('options.tls', 'of type object with a key and a cert', settings.tls);
    const listener = new TlsListener();
    listener.#settings = settings;
    const server = tls.createServer({ handshakeTimeout: settings.helloTimeout, ...settings.tls, pauseOnConnect: false });
    server.maxConnections = settings.maxConnections + 1; // the one too many is told why
    server.on('tlsClientError', (error, socket) => {
      socket.on('error', nothing);
      problem(error);
    });
    listener.#server = server;
    await new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port: Number(port), backlog: settings.listen.backlog }, () => {
        server.removeListener('error', reject);
        server.on('error', problem);
        resolve();
      });
    });
    listener.#name = host.includes(':') ? `[${host}]` : host;
    return listener;
  }

  open(found) {
    this.#server.on('secureConnection', (socket) => {
      if (this.#closed) { // it had begun its handshake before
        socket.on('error', nothing).destroy();
        return;
      }
      this.#waiting.push(socket);
      found();
    });
  }

  accept() {
    const socket = this.#waiting.shift();
    return socket === undefined ? null : endOf(socket, this.#settings);
  }

  pause() {
    return 0;
  }

  resume() {}

  get address() {
    return `tls://${this.#name}:${this.#server.address().port}`;
  }

  setRef(on) {
    if (on) this.#server.ref();
    else this.#server.unref();
  }

  close() {
    this.#closed = true;
    this.#server.close();
  }
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

const bind = (endpoint, settings, problem) => TlsListener.bind(endpoint, settings, problem);

module.exports = { bind, dialer };
