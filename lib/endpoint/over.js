'use strict';
// A connection over streams that exist already: a Duplex, a child's stdin and stdout, this process's own.

const { node } = require('../errors.js');
const { create, linkOf } = require('./connection.js');
const { forClient } = require('./settings.js');
const { StreamEnd } = require('./stream-end.js');

// The readable and the writable half of what the user has given, and what to call it.
function halves(given) {
  if (typeof given?.read === 'function' && typeof given.write === 'function') return [given, given, 'a stream'];
  if (given?.stdin != null && given.stdout != null && typeof given.kill === 'function') return [given.stdout, given.stdin, `the stdio of process ${given.pid}`];
  throw node.invalidType('endpoint', 'an endpoint\'s text, a Duplex, or a ChildProcess whose stdin and stdout are pipes', given);
}

// Without `greet` the peer's hello is not waited for.
function over(given, { greet = true, ...options } = {}) {
  const settings = forClient(options);
  const [readable, writable, name] = halves(given);
  const connection = create(name, settings, null);
  const link = linkOf(connection);
  link.attach(new StreamEnd(readable, writable, settings.native));
  link.hello();
  if (!greet || link.greeted) link.opened();
  return connection;
}

module.exports = { over, halves, StreamEnd };
