'use strict';
// A worker as its primary sees it.

const EventEmitter = require('node:events');

// What only the primary knows of a worker: set by primary.js.
const kOf = Symbol('rsipc.cluster.worker');
// Whether it takes claims: see inside.js.
const kClaims = Symbol('rsipc.cluster.claims');

// A function and no class: Node's may be called without `new`.
function Worker(options) {
  if (!(this instanceof Worker)) return new Worker(options);
  EventEmitter.call(this);
  const { state = 'none', id = 0, process: child } = options !== null && typeof options === 'object' ? options : {};
  this.exitedAfterDisconnect = undefined;
  this.state = state || 'none';
  this.id = id | 0;
  if (child) {
    this.process = child;
    child.on('error', (code, signal) => {
      const tell = () => this.emit('error', code, signal);
      if (child.pid === undefined) process.nextTick(tell); // it was not started: behind 'fork', which tells who wants to know
      else tell();
    });
    child.on('message', (message, handle) => this.emit('message', message, handle));
  }
}

Object.setPrototypeOf(Worker.prototype, EventEmitter.prototype);
Object.setPrototypeOf(Worker, EventEmitter);

Worker.prototype.kill = function () {
  Reflect.apply(this.destroy, this, arguments);
};

Worker.prototype.send = function () {
  return Reflect.apply(this.process.send, this.process, arguments);
};

Worker.prototype.isDead = function () {
  return this.process.exitCode != null || this.process.signalCode != null;
};

Worker.prototype.isConnected = function () {
  return this.process.connected;
};

// Only signals: `exitedAfterDisconnect` stays false.
Worker.prototype.destroy = function (signal) {
  this.process.kill(signal || 'SIGTERM');
};

Worker.prototype.disconnect = function () {
  this.exitedAfterDisconnect = true;
  this[kOf]?.leave(this);
  return this;
};

// ---- beyond Node ----

// New connections go to other workers, until `resume`.
Worker.prototype.pause = function () {
  this[kOf]?.native.pause(this.id, true);
  return this;
};

Worker.prototype.resume = function () {
  this[kOf]?.native.pause(this.id, false);
  return this;
};

module.exports = { Worker, kOf, kClaims };
