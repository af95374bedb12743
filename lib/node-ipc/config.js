'use strict';
// What `ipc.config` begins with: node-ipc's names and values, and limits it does not have.

const os = require('node:os');

class Config {
  constructor() {
    this.appspace = 'app.';
    this.socketRoot = '/tmp/';
    this.id = os.hostname();

    this.encoding = 'utf8';
    this.rawBuffer = false;
    this.sync = false;
    this.unlink = true;
    this.delimiter = '\f';

    this.silent = false;
    this.logDepth = 5;
    this.logInColor = true;
    // eslint-disable-next-line no-console -- what node-ipc logs to
    this.logger = console.log.bind(console);

    this.maxConnections = 100;
    this.retry = 500; // milliseconds
    this.maxRetries = Infinity;
    this.stopRetrying = false;

    this.tls = false;
    this.networkHost = '127.0.0.1';
    this.networkPort = 8000;
    this.readableAll = false;
    this.writableAll = false;
    this.interface = { localAddress: false, localPort: false, family: false, hints: false, lookup: false };

    // What a peer may make this process hold.
    this.maxMessageSize = 64 * 1024 * 1024; // characters of one message
    this.frameTimeout = 30_000; // milliseconds a message may stay incomplete
  }
}

module.exports = { Config };
