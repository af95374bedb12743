'use strict';
// What `serve` and `connect` understand: defaults and checks.

const { node } = require('../errors.js');
const validate = require('../validate.js');

const MIB = 1024 * 1024;
// What a timer can hold, 24.8 days; waiting longer is waiting for ever.
const LONGEST_TIMER = 2_147_483_647;
// Only Node's own libuv has the loop that the native part can watch descriptors in.
const { LIBUV, PAYLOADS, MOST_SHARED } = require('../fork/settings.js');

const KINDS = ['net.Socket', 'net.Server', 'net.Native', 'net.BoundSocket', 'dgram.Socket', 'dgram.Native', 'fd'];
const CODECS = ['json', 'v8', 'raw', 'lines', 'lsp'];
const POLICIES = ['wait', 'error', 'drop-oldest', 'close'];
const FRAMINGS = { json: 'text', v8: 'bytes', raw: 'bytes', lines: 'lines', lsp: 'lsp' };

const DEFAULTS = Object.freeze({
  codec: 'json',
  jsonRpc: undefined,
  maxMessageSize: 64 * MIB,
  maxDepth: 512,
  protoAction: 'error',
  frameTimeout: 30_000,
  helloTimeout: 5_000,
  highWaterMark: 128 * 1024,
  maxOutbox: 128 * MIB,
  slowPeer: 'wait',
  maxEarlyBytes: MIB,
  maxRequests: 65_536,
  payload: 'copy',
  maxSharedBytes: 128 * MIB,
  spin: undefined,
  heartbeat: 0,
  closeTimeout: 2_000,
});

function common(options) {
  validate.object(options, 'options');
  const all = { ...DEFAULTS };
  for (const key of Object.keys(DEFAULTS)) {
    if (options[key] !== undefined) all[key] = options[key];
  }
  validate.oneOf(all.codec, 'options.codec', CODECS);
  validate.oneOf(all.slowPeer, 'options.slowPeer', POLICIES);
  validate.oneOf(all.protoAction, 'options.protoAction', ['error', 'remove', 'keep']);
  validate.oneOf(all.payload, 'options.payload', PAYLOADS);
  validate.integer(all.maxSharedBytes, 'options.maxSharedBytes', 0, MOST_SHARED);
  validate.integer(all.maxMessageSize, 'options.maxMessageSize', 1, 4_294_967_295);
  validate.integer(all.maxDepth, 'options.maxDepth', 1, 100_000);
  validate.integer(all.maxRequests, 'options.maxRequests', 1);
  if (all.spin !== undefined) validate.number(all.spin, 'options.spin', 0, 10_000);
  for (const key of ['frameTimeout', 'helloTimeout', 'highWaterMark', 'maxOutbox']) validate.number(all[key], `options.${key}`, 1);
  for (const key of ['maxEarlyBytes', 'heartbeat', 'closeTimeout']) validate.number(all[key], `options.${key}`);
  all.jsonRpc ??= all.codec === 'lsp';
  validate.boolean(all.jsonRpc, 'options.jsonRpc');
  if (all.jsonRpc && all.codec !== 'lsp' && all.codec !== 'lines') {
    throw node.invalidValue('options.jsonRpc', all.jsonRpc, 'is for codec \'lsp\' and \'lines\'; the other codecs have requests of their own');
  }
  all.allow = allowed(options.allow);
  if (options.tls !== undefined) {
    validate.object(options.tls, 'options.tls');
    all.tls = options.tls;
  }
  if (options.acceptHandles !== undefined) {
    if (!Array.isArray(options.acceptHandles)) throw node.invalidType('options.acceptHandles', 'an instance of Array', options.acceptHandles);
    for (const kind of options.acceptHandles) validate.oneOf(kind, 'options.acceptHandles', KINDS);
    all.acceptHandles = options.acceptHandles;
  }
  all.framing = FRAMINGS[all.codec];
  all.native = { framing: all.framing, maxMessageSize: all.maxMessageSize, maxDepth: all.maxDepth, spin: all.spin };
  return all;
}

const LARGEST_ID = 4_294_967_294;

function ids(value, name) {
  if (value === undefined) return undefined;
  const list = Array.isArray(value) ? value : [value];
  for (const id of list) validate.integer(id, name, 0, LARGEST_ID);
  return list;
}

// Who may be at the other end of a UNIX socket: 'same' (the default), 'anyone', or lists of users and groups.
function allowed(value) {
  if (value === undefined || value === 'same') return {};
  if (value === 'anyone') return { anyone: true };
  validate.object(value, 'options.allow');
  const { uid, gid } = value;
  if (uid === 'same' && gid === undefined) return {};
  const uids = ids(uid === 'same' ? process.geteuid() : uid, 'options.allow.uid');
  const gids = ids(gid, 'options.allow.gid');
  if (uids === undefined && gids === undefined) throw node.invalidValue('options.allow', value, 'must say a uid, a gid, or both');
  return { uids, gids };
}

function listening({ backlog, mode, uid, gid }) {
  if (backlog !== undefined) validate.integer(backlog, 'options.backlog', 1, 65_535);
  if (mode !== undefined) validate.integer(mode, 'options.mode', 0, 0o777);
  if (uid !== undefined) validate.integer(uid, 'options.uid', 0, LARGEST_ID);
  if (gid !== undefined) validate.integer(gid, 'options.gid', 0, LARGEST_ID);
  return { backlog, mode, uid, gid };
}

function forServer(options) {
  const all = common(options);
  const { maxConnections = 1_024 } = options;
  validate.amount(maxConnections, 'options.maxConnections', 1);
  return { ...all, maxConnections, listen: { ...listening(options), allow: all.allow } };
}

function forHttp(options) {
  validate.object(options, 'options');
  const { agent = { keepAlive: true } } = options;
  validate.object(agent, 'options.agent');
  // A server that is started here accepts by itself: the mode of the file says who may connect.
  return { agent, allow: allowed(options.allow), listen: listening(options) };
}

const RECONNECT = Object.freeze({ min: 50, max: 10_000, factor: 2, jitter: 0.5, retries: Infinity });

function forClient(options) {
  const all = common(options);
  const { timeout = 10_000, signal, reconnect = false } = options;
  validate.number(timeout, 'options.timeout');
  validate.signal(signal, 'options.signal');
  let backoff = null;
  if (reconnect !== false) {
    if (reconnect !== true) validate.object(reconnect, 'options.reconnect');
    backoff = { ...RECONNECT, ...(reconnect === true ? {} : reconnect) };
    for (const key of ['min', 'max']) validate.number(backoff[key], `options.reconnect.${key}`, 0, LONGEST_TIMER);
    validate.number(backoff.factor, 'options.reconnect.factor', 1);
    validate.number(backoff.jitter, 'options.reconnect.jitter', 0, 1);
    validate.amount(backoff.retries, 'options.reconnect.retries');
  }
  return { ...all, timeout, signal, backoff };
}

module.exports = { forServer, forClient, forHttp, LONGEST_TIMER, LIBUV };
