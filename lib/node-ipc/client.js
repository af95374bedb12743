'use strict';
// A client: one connection to a server, made again when it is lost.

const net = require('node:net');
const { Events } = require('./events.js');
const { pipePath } = require('./path.js');
const { format, Reader, send } = require('./wire.js');

class Queue {
  #waiting = [];
  #busy = false;

  add(task) {
    this.#waiting.push(task);
    if (!this.#busy) this.next();
  }

  // The task before has been answered.
  next() {
    const task = this.#waiting.shift();
    this.#busy = task !== undefined;
    task?.();
  }

  clear() {
    this.#waiting = [];
    this.#busy = false;
  }
}

class Client extends Events {
  constructor(config, log) {
    super();
    this.Client = Client;
    this.config = config;
    this.log = log;
    this.queue = new Queue();
    this.socket = false;
    this.retriesRemaining = config.maxRetries || 0;
    this.explicitlyDisconnected = false;
    // `trigger` and `publish` concern this end; `emit` goes to the other.
    this.emit = this.#emit;
  }

  #emit(type, data) {
    const { config } = this;
    if (!config.silent) this.log('dispatching event to ', this.id, this.path, ' : ', type, ',', data);
    const message = config.rawBuffer ? Buffer.from(type, config.encoding) : format(type, data, config.delimiter);
    if (config.sync) this.queue.add(() => this.#write(message));
    else this.#write(message);
  }

  #write(message) {
    if (typeof message === 'string') send(this.socket, message);
    else this.socket.write(message);
  }

  connect() {
    const { config } = this;
    this.log('requested connection to ', this.id, this.path);
    if (!this.path) {
      this.log('\n\n######\nerror: ', this.id, ' client has not specified socket path it wishes to connect to.');
      return;
    }
    const socket = this.socket = this.#open();
    const reader = new Reader(config, socket, (error) => {
      this.publish('error', error);
      socket.destroy();
    });
    const take = (type, data) => {
      if (!config.silent) this.log('detected event', type, data);
      this.publish(type, data);
    };
    if (!config.rawBuffer) socket.setEncoding(config.encoding);
    socket.on('error', (error) => {
      this.log('\n\n######\nerror: ', error);
      this.publish('error', error);
    });
    socket.on('connect', () => {
      this.publish('connect');
      this.retriesRemaining = config.maxRetries;
      this.log('retrying reset');
    });
    socket.on('data', (data) => {
      if (config.rawBuffer) this.publish('data', data);
      else reader.read(data, take);
      if (config.sync) this.queue.next();
    });
    socket.on('close', () => {
      reader.end();
      this.queue.clear(); // no answer comes any more for what was sent
      this.#closed();
    });
  }

  #open() {
    const { config, path } = this;
    if (!this.port) {
      this.log('Connecting client on Unix Socket :', path);
      return net.connect({ path: pipePath(path) });
    }
    const options = { host: path, port: this.port };
    for (const [name, value] of Object.entries(config.interface ?? {})) if (value) options[name] = value;
    if (!config.tls) {
      this.log('Connecting client via TCP to', options);
      return net.connect(options);
    }
    this.log('Connecting client via TLS to', path, this.port);
    return require('node:tls').connect({ ...require('./tls.js').clientOptions(config.tls), ...options });
  }

  #closed() {
    const { config } = this;
    this.log('connection closed', this.id, this.path, this.retriesRemaining, 'tries remaining of', config.maxRetries);
    if (config.stopRetrying || this.retriesRemaining < 1 || this.explicitlyDisconnected) {
      this.publish('disconnect');
      this.log(config.id, 'exceeded connection retry amount of', ' or stopRetrying flag set.');
      this.socket.destroy();
      this.publish('destroy');
      return;
    }
    setTimeout(() => {
      if (this.explicitlyDisconnected) return;
      this.retriesRemaining--;
      this.connect();
    }, config.retry);
    this.publish('disconnect');
  }
}

module.exports = { Client };
