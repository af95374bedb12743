'use strict';
// `serve('tcp://…', { proxy: { from } })`: behind a load balancer that says in front of each connection whose it is (the
// PROXY protocol, versions 1 and 2). Only who is listed is believed, and has to say it; from anybody else such a line is
// what it looks like: no message.
//
// The line is looked at where it lies, and taken when it is whole: what comes behind it is the connection's.

const net = require('node:net');
const native = require('../binding.js');
const { node } = require('../errors.js');
const validate = require('../validate.js');
const { look } = require('./peek.js');

const LONGEST_LINE = 65_551; // of version 2: 16 bytes, and as many as 16 bits can say

function listed(from) {
  if (!Array.isArray(from) || from.length === 0) throw node.invalidType('options.proxy.from', 'a list of addresses and networks, [\'10.0.0.0/8\']', from);
  const list = new net.BlockList();
  for (const entry of from) {
    const [address, prefix, more] = typeof entry === 'string' ? entry.split('/') : [];
    const family = net.isIP(address ?? '');
    const bits = family === 6 ? 128 : 32;
    if (family === 0 || more !== undefined || (prefix !== undefined && !(/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits))) {
      throw node.invalidValue('options.proxy.from', entry, 'must be addresses and networks, such as \'10.0.0.0/8\'');
    }
    list.addSubnet(address, Number(prefix ?? bits), `ipv${family}`);
  }
  return list;
}

// Who is believed at an endpoint, or null where nobody has to be.
function believed(endpoint, { proxy }) {
  if (proxy === undefined) return null;
  validate.object(proxy, 'options.proxy');
  if (!/^(tcp|systemd):/.test(endpoint)) throw node.invalidValue('options.proxy', proxy, `is for tcp: and systemd:, and not for ${endpoint}`);
  return listed(proxy.from);
}

class ProxiedListener {
  #native;
  #settings;
  #problem;
  #found = null;
  #looking = new Map(); // what ends the look, by descriptor
  #waiting = [];

  constructor(listener, settings, problem) {
    this.#native = listener;
    this.#settings = settings;
    this.#problem = problem;
  }

  get address() {
    return this.#native.address;
  }

  open(found, ready, libuv) {
    this.#found = found;
    this.#native.open(found, ready, libuv);
  }

  // Takes from the kernel what is there; answers an end whose line has come.
  accept() {
    if (this.#waiting.length > 0) return this.#waiting.shift();
    for (let next = this.#native.acceptFd(); next !== null; next = this.#native.acceptFd()) {
      const { fd, remote } = next;
      const from = remote ?? null;
      if (from === null || !this.#settings.believed.check(from.address, from.family.toLowerCase())) return this.#end(fd, 0, from);
      this.#look(fd, from);
    }
    return null;
  }

  #end(fd, skip, peer) {
    const end = native.connectionOver(fd, this.#settings.native, skip);
    end.told = peer && { ...peer };
    return end;
  }

  #look(fd, from) {
    if (this.#looking.size >= this.#settings.maxConnections) {
      native.closeFd(fd);
      return;
    }
    const done = (error, answer) => {
      this.#looking.delete(fd);
      if (error !== null) {
        native.closeFd(fd);
        this.#problem(error);
        return;
      }
      const { length, source } = answer.proxy;
      try {
        // Without a source it is the load balancer that looks whether anybody is here.
        this.#waiting.push(this.#end(fd, length, source ? { ...source, via: from } : from));
      } catch (failure) {
        this.#problem(failure);
        return;
      }
      this.#found();
    };
    try {
      this.#looking.set(fd, look(fd, ['proxy', false, LONGEST_LINE], this.#settings.helloTimeout, done));
    } catch (error) {
      native.closeFd(fd);
      this.#problem(error);
    }
  }

  pause() {
    return this.#native.pause();
  }

  resume() {
    this.#native.resume();
  }

  setRef(on) {
    this.#native.setRef(on);
  }

  close() {
    for (const [fd, stop] of this.#looking) {
      stop();
      native.closeFd(fd);
    }
    this.#looking.clear();
    for (const end of this.#waiting.splice(0)) end.close();
    this.#native.close();
  }
}

// What looks like the native listener.
const proxied = (listener, settings, problem) => (settings.believed === null ? listener : new ProxiedListener(listener, settings, problem));

module.exports = { believed, proxied };
