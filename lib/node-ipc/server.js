'use strict';
// A server: the sockets of its clients, or one datagram socket.

const fs = require('node:fs');
const net = require('node:net');
const { resolve } = require('node:path');
const native = require('../binding.js');
const { node } = require('../errors.js');
const { listenOn } = require('../endpoint/listen-on.js');
const { Events } = require('./events.js');
const { pipePath } = require('./path.js');
const { format, Reader, send } = require('./wire.js');

class Server extends Events {
  constructor(path, config, log, port) {
    super();
    this.config = config;
    this.path = path;
    this.port = port;
    this.udp4 = false;
    this.udp6 = false;
    this.log = log;
    this.server = false;
    this.sockets = [];
    // `trigger` and `publish` concern this end; `emit` goes to a client.
    this.emit = this.#emit;
  }

  get #udp() {
    return this.udp4 || this.udp6;
  }

  onStart(socket) {
    this.trigger('start', socket);
  }

  stop() {
    this.server.close();
  }

  start() {
    if (!this.path) {
      this.log('Socket Server Path not specified, refusing to start');
      return;
    }
    if (this.#udp) {
      this.#startDatagrams();
      return;
    }
    try {
      this.server = this.#create();
    } catch (error) {
      this.log('server error', error);
      process.nextTick(() => this.publish('error', error));
      return;
    }
    this.#watch();
    this.server.maxConnections = this.config.maxConnections;
    if (this.port) {
      this.log('starting server as', this.config.tls ? 'TLS' : 'TCP');
      this.server.listen(this.port, this.path, (socket) => this.onStart(socket));
      return;
    }
    this.log('starting server as', 'Unix || Windows Socket');
    this.path = pipePath(this.path);
    const { unlink, readableAll, writableAll } = this.config;
    const start = (socket) => this.onStart(socket);
    if (!unlink || native.Listener === undefined) {
      this.server.listen({ path: this.path, readableAll, writableAll }, start);
      return;
    }
    try {
      const mode = 0o600 | (readableAll ? 0o444 : 0) | (writableAll ? 0o222 : 0);
      listenOn(this.server, native.Listener.bind(`unix:${resolve(this.path)}`, { mode }), undefined, start);
    } catch (error) {
      // Whoever or whatever has the name, programs on node-ipc look for this.
      const taken = error.code === 'EADDRINUSE' || fs.lstatSync(this.path, { throwIfNoEntry: false }) !== undefined;
      process.nextTick(() => this.server.emit('error', taken ? Object.assign(node.addressInUse(this.path), { cause: error }) : error));
    }
  }

  #create() {
    const take = (socket) => this.#connected(socket);
    if (!this.config.tls) return net.createServer(take);
    this.log('starting TLS server');
    return require('node:tls').createServer(require('./tls.js').serverOptions(this.config.tls), take);
  }

  #watch() {
    this.server.on('error', (error) => {
      this.log('server error', error);
      this.publish('error', error);
    });
  }

  #connected(socket) {
    this.sockets.push(socket);
    this.log('## socket connection to server detected ##');
    const { config } = this;
    const reader = new Reader(config, socket, (error) => {
      this.publish('error', error);
      socket.destroy();
    });
    if (!config.rawBuffer) socket.setEncoding(config.encoding);
    socket.on('close', () => {
      reader.end();
      this.#forget(socket);
      this.publish('close', socket);
    });
    socket.on('error', (error) => {
      this.log('server socket error', error);
      this.publish('error', error);
    });
    const take = (type, data) => this.#received(socket, type, data);
    socket.on('data', (data) => {
      if (config.rawBuffer) this.publish('data', data, socket);
      else reader.read(data, take);
    });
    this.publish('connect', socket);
  }

  #received(socket, type, data) {
    // A client may name itself; the server tells that name when it goes.
    if (data && data.id) socket.id = data.id;
    if (!this.config.silent) this.log('received event of : ', type, data);
    this.publish(type, data, socket);
  }

  #forget(socket) {
    const at = this.sockets.indexOf(socket);
    if (at !== -1) this.sockets.splice(at, 1);
    const id = socket.id || false;
    this.log('socket disconnected', String(id));
    this.publish('socket.disconnected', socket, id);
  }

  // ---- datagrams ----

  #startDatagrams() {
    const { config } = this;
    this.log('starting server as', this.udp4 ? 'udp4' : 'udp6');
    const socket = this.server = require('node:dgram').createSocket(this.udp4 ? 'udp4' : 'udp6');
    socket.write = (message, to) => this.#write(message, to);
    this.#watch();
    socket.on('listening', () => {
      this.sockets.push(socket);
      this.publish('connect', socket);
    });
    socket.on('close', () => this.publish('close', socket));
    socket.on('message', (bytes, from) => {
      this.log('Received UDP message from ', from.address, from.port);
      if (config.rawBuffer) {
        this.publish('data', bytes, from);
        return;
      }
      // A datagram holds whole messages.
      const reader = new Reader(config, undefined, (error) => this.publish('error', error));
      reader.read(bytes.toString(config.encoding), (type, data) => this.#received(from, type, data));
      reader.end();
    });
    socket.bind(this.port, this.path);
    this.onStart({ address: this.path, port: this.port });
  }

  #write(message, to) {
    const bytes = Buffer.from(message, this.config.encoding);
    this.server.send(bytes, 0, bytes.length, to.port, to.address, (error) => {
      if (!error) return;
      this.log('error writing data to socket', error);
      this.publish('error', error);
    });
  }

  // ---- sending ----

  #form(type, data) {
    return this.config.rawBuffer ? Buffer.from(type, this.config.encoding) : format(type, data, this.config.delimiter);
  }

  #emit(socket, type, data) {
    if (!this.config.silent) this.log('dispatching event to socket', ' : ', type, data);
    if (!this.#udp) {
      this.#send(socket, this.#form(type, data));
    } else if (socket.address && socket.port) {
      this.server.write(this.#form(type, data), socket);
    } else {
      this.log('Attempting to emit to a single UDP socket without supplying socket address or port. Redispatching event as broadcast to all connected sockets');
      this.broadcast(type, data);
    }
  }

  broadcast(type, data) {
    if (!this.config.silent) this.log('broadcasting event to all known sockets listening to ', this.path, ' : ', this.port || '', type, data);
    const message = this.#form(type, data);
    // Of datagrams the first is the server's own; who else hears is what the program has put there.
    if (this.#udp) for (const to of this.sockets.slice(1)) this.server.write(message, to);
    else for (const socket of this.sockets) this.#send(socket, message);
  }

  #send(socket, message) {
    if (typeof message === 'string') send(socket, message);
    else socket.write(message);
  }
}

module.exports = { Server };
