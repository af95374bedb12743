'use strict';
// `connect`: a connection to a server, and another one when that is lost.

const { randomBytes } = require('node:crypto');
const native = require('../binding.js');
const { node, rsipc, abortError } = require('../errors.js');
const { create, linkOf } = require('./connection.js');
const { forClient, LONGEST_TIMER } = require('./settings.js');
const { mediumOf, settingsAt } = require('./media.js');
const { addressed } = require('./resolve.js');
const { CONNECTING } = require('./state.js');

// One attempt: calls `done(error)` when the server has greeted, or not.
async function dial(link, { open }, settings, session, again, done) {
  let end;
  try {
    end = await open();
  } catch (error) {
    done(error);
    return;
  }
  if (link.state !== CONNECTING) {
    end.close(); // given up meanwhile
    return;
  }
  link.peer = end.peer;
  link.onGreeting = (said, error = null) => {
    if (error === null && said === null && end.greets) return; // connected; its hello is to come
    link.onGreeting = null;
    done(error);
  };
  link.onEnd = (error) => {
    link.onGreeting = null;
    done(error);
  };
  link.attach(end);
  link.hello({ session, again: again || undefined });
  if (!end.greets && !end.connecting) link.onGreeting(null);
}

class Dialer {
  constructor(connection, target, settings) {
    this.connection = connection;
    this.link = linkOf(connection);
    this.target = target;
    this.settings = settings;
    this.session = randomBytes(8).toString('hex');
    this.attempt = 0; // in a row
  }

  // Tries until there is a connection, or until it is not to be tried again.
  run(again, done) {
    const { link, settings } = this;
    dial(link, this.target, settings, this.session, again, (error) => {
      if (link.state !== CONNECTING) return;
      if (error?.syscall === 'connect' && this.target.more?.()) {
        this.run(again, done); // its host has another address
        return;
      }
      this.target.found?.();
      if (error === null) {
        this.attempt = 0;
        link.onEnd = settings.backoff === null ? null : (reason) => this.#lost(reason);
        done(null);
        return;
      }
      this.#retry(error, again, done);
    });
  }

  #retry(error, again, done) {
    const { backoff } = this.settings;
    const hopeless = error?.code === 'ERR_RSIPC_CODEC' || error?.code === 'ERR_RSIPC_NOT_RSIPC' || error?.code === 'ERR_RSIPC_INVALID_ENDPOINT';
    if (backoff === null || hopeless || this.attempt >= backoff.retries) {
      this.link.onEnd = null;
      this.link.finish(error);
      done(error);
      return;
    }
    const longest = Math.min(backoff.min * backoff.factor ** this.attempt, backoff.max);
    // Clients of a server that has gone must not all come back at once.
    const wait = longest * (1 - backoff.jitter * Math.random());
    this.attempt++;
    // Before listeners are told, which may throw or close the connection.
    this.link.retry = setTimeout(() => {
      this.link.retry = null;
      this.run(again, done);
    }, wait);
    if (!this.link.referenced) this.link.retry.unref();
    this.connection.emit('reconnecting', error, this.attempt, wait);
  }

  #lost(error) {
    const done = (failed) => {
      if (failed !== null) return;
      this.link.opened();
      this.connection.emit('reconnect');
    };
    try {
      this.connection.emit('disconnect', error);
    } finally {
      if (this.link.state === CONNECTING) this.#retry(error, true, done);
    }
  }
}

// How to get one to a host that may have several addresses: each attempt is for the next one, as long as there are `more`.
function toHost(target, settings) {
  let left = [];
  return {
    endpoint: target,
    more: () => left.length > 0,
    found: () => {
      left = [];
    },
    open: async () => {
      if (left.length === 0) left = await addressed(target);
      for (;;) {
        try {
          return native.connectEndpoint(left.shift(), settings.allow, settings.native);
        } catch (error) {
          if (left.length === 0) throw error;
        }
      }
    },
  };
}

// How to get a native end to `target`, and what to call that.
function dialerFor(target, settings) {
  const medium = mediumOf(target);
  if (medium !== null) return medium.dialer(target, settings);
  if (typeof target !== 'string' || target === 'stdio:') {
    const { halves, StreamEnd } = require('./over.js');
    if (settings.backoff !== null) throw node.invalidValue('options.reconnect', true, 'needs an endpoint that can be connected to again; a stream is there once');
    const [readable, writable, endpoint] = target === 'stdio:' ? require('./stdio.js').halves() : halves(target);
    return { endpoint, open: async () => new StreamEnd(readable, writable, settings.native) };
  }
  return toHost(target, settings);
}

// Resolves with a connection whose server has greeted.
function connect(target, options = {}) {
  return new Promise((resolve, reject) => {
    if (native.FedConnection === undefined) throw rsipc.notAvailable('connect()');
    const settings = settingsAt(target, options, forClient, 'connect');
    const { timeout, signal } = settings;
    if (signal?.aborted) throw abortError(signal);
    const dialer = dialerFor(target, settings);
    const { endpoint } = dialer;
    const connection = create(endpoint, settings, null);
    const link = linkOf(connection);
    const give = (error) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      reject(error);
    };
    const giveUp = (error) => {
      link.onEnd = null;
      link.onGreeting = null;
      link.finish(error);
      give(error);
    };
    const onAbort = () => giveUp(abortError(signal));
    const timer = timeout > LONGEST_TIMER ? undefined : setTimeout(() => giveUp(rsipc.waitTimeout(`Connecting to ${endpoint}`, timeout)), timeout);
    signal?.addEventListener('abort', onAbort, { once: true });
    new Dialer(connection, dialer, settings).run(false, (error) => {
      if (error !== null) {
        give(error);
        return;
      }
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      link.opened();
      resolve(connection);
    });
  });
}

module.exports = { connect };
