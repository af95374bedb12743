'use strict';
// `rsipc.peek(socket, options)`: what a connection begins with, while all of it stays in the socket's receive buffer. So
// the socket can go to another process as if nobody had touched it.

const net = require('node:net');
const native = require('../binding.js');
const { node, rsipc, abortError } = require('../errors.js');
const validate = require('../validate.js');
const { LIBUV, LONGEST_TIMER } = require('../fork/settings.js');
const { outside } = require('./outside.js');

const DEFAULTS = { limit: 16_384, timeout: 5_000 };

// One descriptor in the loop for all connections of this environment, from the first on.
let peeker = null;
const pending = new Map();

function open() {
  if (peeker === null) {
    peeker = native.Peeker.open(settle, () => {
      peeker.turn();
      settle();
    }, LIBUV);
  }
  return peeker;
}

function settle() {
  for (const answer of peeker.take()) outside(() => pending.get(answer.number)?.(answer));
}

function remember(number, settled) {
  pending.set(number, settled);
  if (pending.size === 1) peeker.setRef(true);
}

function forget(number) {
  if (pending.delete(number) && pending.size === 0) peeker.setRef(false);
}

// Repeated headers as Node's http joins them, in an object that inherits nothing: names are the client's.
const ONCE = new Set(['age', 'authorization', 'content-length', 'content-type', 'etag', 'expires', 'from', 'host',
  'if-modified-since', 'if-unmodified-since', 'last-modified', 'location', 'max-forwards', 'proxy-authorization', 'referer',
  'retry-after', 'server', 'user-agent']);

function joined(pairs) {
  const headers = Object.create(null);
  for (let index = 0; index < pairs.length; index += 2) {
    const name = pairs[index].toLowerCase();
    if (headers[name] === undefined) headers[name] = pairs[index + 1];
    else if (!ONCE.has(name)) headers[name] += `${name === 'cookie' ? '; ' : ', '}${pairs[index + 1]}`;
  }
  return headers;
}

const proxied = (proxy) => proxy && { version: proxy.version, source: proxy.source, destination: proxy.destination };

function found(kind, answer) {
  const proxy = proxied(answer.proxy);
  if (kind === 'tls') return { kind, sni: answer.sni, alpn: answer.alpn, proxy };
  if (kind === 'proxy') return { kind, proxy };
  return {
    kind, method: answer.method, path: answer.path, httpVersion: `1.${answer.minor}`, headers: joined(answer.headers), proxy,
  };
}

// The descriptor of a connection that nobody has read from. Node begins to read as soon as the listener has returned,
// unless the server was told otherwise.
function untouched(socket) {
  if (!(socket instanceof net.Socket)) throw node.invalidType('socket', 'an instance of net.Socket', socket);
  const handle = socket._handle;
  if (!handle || socket.destroyed || !(handle.fd >= 0)) throw rsipc.socketClosed();
  if (handle.reading || socket.bytesRead > 0 || socket.readableLength > 0) throw rsipc.alreadyRead();
  return handle.fd;
}

// It takes a second descriptor for as long as it looks, and there may be none.
function begin(fd, ...sought) {
  try {
    const looker = open();
    return [looker, looker.add(fd, ...sought)];
  } catch (error) {
    throw rsipc.protocol('ERR_RSIPC_SYSTEM', `The connection cannot be looked into: ${error.message}`);
  }
}

// Looks into the connection of a descriptor, which has to stay open meanwhile, for `[kind, proxy, limit]`. `done(error,
// answer)` is called once; answers what ends the wait without that.
function look(fd, sought, timeout, done) {
  const [looker, number] = begin(fd, ...sought);
  const stop = () => {
    forget(number);
    looker.cancel(number);
    clearTimeout(timer);
  };
  const end = (error, answer) => {
    stop();
    done(error, answer);
  };
  const timer = timeout > LONGEST_TIMER ? undefined : setTimeout(() => end(rsipc.peekTimeout(timeout)), timeout);
  remember(number, (answer) => {
    if (answer.code === undefined || answer.code === null) end(null, answer);
    else end(rsipc.protocol(answer.code, answer.text));
  });
  return stop;
}

async function peek(socket, options = {}) {
  validate.object(options, 'options');
  const { for: kind = 'http', proxy = false, limit = DEFAULTS.limit, timeout = DEFAULTS.timeout, signal } = options;
  validate.oneOf(kind, 'options.for', ['http', 'tls', 'proxy']);
  validate.boolean(proxy, 'options.proxy');
  validate.integer(limit, 'options.limit', 1, 1 << 20);
  validate.number(timeout, 'options.timeout', 0);
  validate.signal(signal, 'options.signal');
  if (native.Peeker === undefined) throw rsipc.notAvailable('rsipc.peek');
  const fd = untouched(socket);
  if (signal?.aborted) throw abortError(signal);

  return new Promise((resolve, reject) => {
    const settle = (error, answer) => {
      socket.removeListener('close', closed);
      signal?.removeEventListener('abort', aborted);
      if (error === null) resolve(found(kind, answer));
      else reject(error);
    };
    const stop = look(fd, [kind, proxy, limit], timeout, settle);
    const give = (error) => {
      stop();
      settle(error);
    };
    const closed = () => give(rsipc.socketClosed());
    const aborted = () => give(abortError(signal));
    socket.once('close', closed);
    signal?.addEventListener('abort', aborted, { once: true });
  });
}

module.exports = { peek, look, DEFAULTS };
