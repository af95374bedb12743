'use strict';
// HTTP over an endpoint: what http.request, fetch and http.Server need to use a UNIX socket like a port.

const http = require('node:http');
const net = require('node:net');
const native = require('../binding.js');
const { node, rsipc } = require('../errors.js');
const { forHttp } = require('./settings.js');
const { listenOn } = require('./listen-on.js');
const { resolved } = require('./resolve.js');

const SCHEMES = new Set(['rsipc', 'unix', 'tcp']);

// A connected socket. Who serves is looked at first: another user's server, on a name that should be ours, gets nothing.
function open(endpoint, allow) {
  if (endpoint.startsWith('tcp:')) {
    const [, host, port] = native.parseEndpoint(endpoint);
    return net.connect({ host, port: Number(port) });
  }
  const fd = native.connectFd(endpoint, allow);
  try {
    const socket = new net.Socket({ fd, readable: true, writable: true });
    native.releaseFd(fd);
    return socket;
  } catch (error) {
    native.closeFd(fd);
    throw error;
  }
}

// Node has no module for the library that its `fetch` runs on, but keeps an object of it where all its copies look.
function Dispatcher() {
  void globalThis.Response; // has it loaded
  for (const version of [2, 1]) {
    const Class = globalThis[Symbol.for(`undici.globalDispatcher.${version}`)]?.constructor;
    if (Class?.name === 'Agent') return Class;
  }
  throw rsipc.noDispatcher();
}

class Agent extends http.Agent {
  #open;

  constructor(opening, options) {
    super(options);
    this.#open = opening;
  }

  createConnection(_, callback) {
    let socket;
    try {
      socket = this.#open();
    } catch (error) {
      process.nextTick(callback, error);
      return undefined;
    }
    return socket;
  }
}

class HttpOver {
  #settings;
  #agent = null;
  #dispatcher = null;

  constructor(endpoint, settings) {
    this.endpoint = endpoint;
    this.#settings = settings;
  }

  #open() {
    return open(this.endpoint, this.#settings.allow);
  }

  // For http.request and what is built on it.
  get agent() {
    this.#agent ??= new Agent(() => this.#open(), this.#settings.agent);
    return this.#agent;
  }

  // For fetch, and undici.
  get dispatcher() {
    this.#dispatcher ??= new (Dispatcher())({
      connect: (_, callback) => {
        let socket;
        try {
          socket = this.#open();
        } catch (error) {
          callback(error, null);
          return;
        }
        process.nextTick(callback, null, socket); // in a turn of its own, as when a socket connects
      },
    });
    return this.#dispatcher;
  }

  // Has `server`, an http.Server or any other net.Server, listen here; the socket's file goes when it closes.
  async listen(server) {
    if (typeof server?.listen !== 'function') throw node.invalidType('server', 'an instance of net.Server', server);
    // Whoever may connect is told by the mode of a file.
    if (this.endpoint.startsWith('unix:@')) throw rsipc.unsupported(this.endpoint, 'anybody could connect to an HTTP server there');
    let listener;
    await resolved(this.endpoint, (endpoint) => {
      listener = native.Listener.bind(endpoint, this.#settings.listen);
    });
    const { address } = listener;
    let failed;
    await new Promise((resolve, reject) => {
      failed = reject;
      server.once('error', failed);
      listenOn(server, listener, this.#settings.listen.backlog, resolve);
    }).finally(() => server.removeListener('error', failed));
    return address;
  }

  // Closes the connections that are kept for the next request.
  async close() {
    this.#agent?.destroy();
    await this.#dispatcher?.close();
    this.#dispatcher = null;
  }

  [Symbol.asyncDispose]() {
    return this.close();
  }
}

/** HTTP over an endpoint: an agent for http.request, a dispatcher for fetch, and a place for a server to listen at. */
function httpOver(endpoint, options = {}) {
  if (typeof endpoint !== 'string') throw node.invalidType('endpoint', 'of type string', endpoint);
  if (native.Listener === undefined) throw rsipc.notAvailable('httpOver()');
  const settings = forHttp(options);
  const [scheme] = native.parseEndpoint(endpoint);
  if (!SCHEMES.has(scheme)) throw rsipc.unsupported(endpoint, 'HTTP does not run over it');
  return new HttpOver(endpoint, settings);
}

module.exports = { httpOver };
