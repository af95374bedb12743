'use strict';
// `require('rsipc/node-ipc')`: node-ipc's API and its wire, so that a program changes one line and its peers
// need not change with it.

const { inspect } = require('node:util');
const { Client } = require('./client.js');
const { Config } = require('./config.js');
const { Server } = require('./server.js');

const DATAGRAMS = new Set(['udp4', 'udp6']);

const nothing = () => {};

// node-ipc's methods take their arguments in order, each of which may be left out: by type it is told which it is.
function sort(args, kinds) {
  let at = 0;
  return kinds.map((fits) => (at < args.length && fits(args[at]) ? args[at++] : skip(args, at, () => at++)));
}

// A false or missing value stands for the default in its own place.
function skip(args, at, next) {
  if (at < args.length && (args[at] === undefined || args[at] === null || args[at] === false)) next();
  return undefined;
}

const isText = (value) => typeof value === 'string' && value !== '';
const isHost = (value) => isText(value) && !DATAGRAMS.has(value.toLowerCase());
const isPort = (value) => typeof value === 'number';
const isDatagram = (value) => isText(value) && DATAGRAMS.has(value.toLowerCase());
const isCallback = (value) => typeof value === 'function';

class IPC {
  constructor() {
    this.config = new Config();
    this.of = {};
    this.server = false;
    // Own and bound to nothing, as node-ipc's: `const { connectTo } = ipc` does not work there either, but
    // `Object.keys(ipc)` shows them.
    for (const name of ['connectTo', 'connectToNet', 'disconnect', 'serve', 'serveNet', 'log']) {
      Object.defineProperty(this, name, { value: IPC.prototype[name], enumerable: true });
    }
  }

  log(...args) {
    const { silent, logDepth, logInColor, logger } = this.config;
    if (silent) return;
    logger(args.map((value) => (typeof value === 'object' ? inspect(value, { depth: logDepth, colors: logInColor }) : value)).join(' '));
  }

  #defaulted(what, name, value) {
    this.log(`${what} not specified, so defaulting to`, name, value);
    return value;
  }

  #path(what, id) {
    const { socketRoot, appspace } = this.config;
    return this.#defaulted(what, 'ipc.config.socketRoot + ipc.config.appspace + id', socketRoot + appspace + id);
  }

  serve(...args) {
    const [path, callback = nothing] = sort(args, [isText, isCallback]);
    this.server = new Server(path ?? this.#path('Server path', this.config.id), this.config, (...words) => this.log(...words));
    this.server.on('start', callback);
  }

  serveNet(...args) {
    const [given, port, datagram, callback = nothing] = sort(args, [isHost, isPort, isDatagram, isCallback]);
    let host = given ?? this.#defaulted('Server host', 'ipc.config.networkHost', this.config.networkHost);
    const type = datagram?.toLowerCase();
    if (type === 'udp4' && host === '::1') host = '127.0.0.1';
    const at = port || this.#defaulted('Server port', 'ipc.config.networkPort', this.config.networkPort);
    this.server = new Server(host, this.config, (...words) => this.log(...words), at);
    if (type !== undefined) this.server[type] = true;
    this.server.on('start', callback);
  }

  connectTo(id, ...args) {
    const [path, callback = nothing] = sort(args, [isText, isCallback]);
    this.#connect(id, callback, () => ({ path: path ?? this.#path('Service path', id) }));
  }

  connectToNet(id, ...args) {
    const [host, port, callback = nothing] = sort(args, [isText, isPort, isCallback]);
    this.#connect(id, callback, () => ({
      path: host ?? this.#defaulted('Server host', 'ipc.config.networkHost', this.config.networkHost),
      port: port || this.#defaulted('Server port', 'ipc.config.networkPort', this.config.networkPort),
    }));
  }

  #connect(id, callback, where) {
    if (!id) {
      this.log('Service id required', 'Requested service connection without specifying service id. Aborting connection attempt');
      return;
    }
    const place = where();
    const before = Object.hasOwn(this.of, id) ? this.of[id] : undefined;
    if (before !== undefined) {
      if (!before.socket.destroyed) {
        this.log('Already Connected to', id, '- So executing success without connection');
        callback();
        return;
      }
      before.socket.destroy();
      before.explicitlyDisconnected = true; // its timer must not connect a second time
    }
    const client = Object.assign(new Client(this.config, (...words) => this.log(...words)), { id }, place);
    Object.defineProperty(this.of, id, { value: client, enumerable: true, configurable: true, writable: true });
    client.connect();
    if (client.port && client.socket) client.socket.id = id;
    callback(this);
  }

  disconnect(id) {
    if (!Object.hasOwn(this.of, id)) return;
    const client = this.of[id];
    client.explicitlyDisconnected = true;
    client.off('*', '*');
    client.socket?.destroy?.();
    delete this.of[id];
  }
}

const ipc = new IPC();
Object.defineProperty(ipc, 'IPC', { value: IPC, enumerable: true });
Object.defineProperty(ipc, 'default', { value: ipc });

module.exports = ipc;
