'use strict';
// What `fork` and `spawn` understand beyond Node's options, with defaults and checks.

const { constants } = require('node:buffer');
const { node } = require('../errors.js');
const validate = require('../validate.js');

const KINDS = ['net.Socket', 'net.Server', 'net.Native', 'net.BoundSocket', 'dgram.Socket', 'dgram.Native', 'fd'];
const TRANSPORTS = ['auto', 'socket', 'ring'];
const PAYLOADS = ['copy', 'view'];
const MIB = 1024 * 1024;
// What a slab can have: crates/core/src/slab.rs.
const MOST_SHARED = 512 * MIB;
// What a timer can hold, 24.8 days; waiting longer is waiting for ever.
const LONGEST_TIMER = 2_147_483_647;

// Options that only rsipc itself gives: a function that gets the native channel before anybody reads it, and a file to
// preload where that is possible, with variables for it.
const kChannel = Symbol('rsipc.channel');
const kPreload = Symbol('rsipc.preload');

const DEFAULTS = Object.freeze({
  serialization: 'json',
  highWaterMark: Object.freeze({ bytes: 131_072, messages: 65_536 }), // bytes: Node's
  maxMessageSize: 64 * MIB,
  maxDepth: 512,
  maxEarlyBytes: 64 * MIB,
  frameTimeout: 30_000,
  handleTimeout: 30_000,
  flushDeadline: 2_000,
  onProtocolError: 'disconnect',
  acceptHandles: undefined,
  transport: TRANSPORTS.includes(process.env.RSIPC_TRANSPORT) ? process.env.RSIPC_TRANSPORT : 'auto',
  dieWithParent: false,
  spin: undefined,
  payload: 'copy',
  maxSharedBytes: 128 * MIB,
});

function highWaterMark(value) {
  if (value === undefined) return DEFAULTS.highWaterMark;
  if (typeof value === 'number') {
    validate.amount(value, 'options.highWaterMark', 1);
    return { bytes: value, messages: DEFAULTS.highWaterMark.messages };
  }
  validate.object(value, 'options.highWaterMark');
  const { bytes = DEFAULTS.highWaterMark.bytes, messages = DEFAULTS.highWaterMark.messages } = value;
  validate.amount(bytes, 'options.highWaterMark.bytes', 1);
  validate.amount(messages, 'options.highWaterMark.messages', 1);
  return { bytes, messages };
}

// Own properties only: what a polluted prototype holds is nobody's option.
function settingsFrom(options) {
  const settings = { ...DEFAULTS };
  const take = (name, check) => {
    if (!Object.hasOwn(options, name) || options[name] === undefined) return;
    check(options[name], `options.${name}`);
    settings[name] = options[name];
  };
  if (options.serialization === 'advanced') settings.serialization = 'advanced';
  take('maxMessageSize', (value, name) => validate.integer(value, name, 1, 2 ** 32 - 1));
  take('maxDepth', (value, name) => validate.integer(value, name, 1, 100_000));
  take('maxEarlyBytes', (value, name) => validate.amount(value, name));
  take('frameTimeout', (value, name) => validate.number(value, name, 1));
  take('handleTimeout', (value, name) => validate.number(value, name, 1));
  take('flushDeadline', (value, name) => validate.number(value, name, 0));
  take('onProtocolError', (value, name) => validate.oneOf(value, name, ['disconnect', 'drop', 'kill']));
  take('spin', (value, name) => validate.number(value, name, 0, 10_000));
  take('payload', (value, name) => validate.oneOf(value, name, PAYLOADS));
  take('maxSharedBytes', (value, name) => validate.integer(value, name, 0, MOST_SHARED));
  take('dieWithParent', validate.boolean);
  take('transport', (value, name) => {
    validate.oneOf(value, name, TRANSPORTS);
  });
  take('acceptHandles', (value, name) => {
    if (!Array.isArray(value)) throw node.invalidType(name, 'an instance of Array', value);
    for (const kind of value) validate.oneOf(kind, `${name}[]`, KINDS);
  });
  if (Object.hasOwn(options, 'highWaterMark')) settings.highWaterMark = highWaterMark(options.highWaterMark);
  return settings;
}

// JSON messages arrive as one text, with others that were read with them, and V8 has no longer ones.
const LONGEST_TEXT = constants.MAX_STRING_LENGTH - 64 * MIB;

// The part of the settings that the native channel enforces.
function nativeOptions(settings) {
  const advanced = settings.serialization === 'advanced';
  return {
    advanced,
    maxMessageSize: advanced ? settings.maxMessageSize : Math.min(settings.maxMessageSize, LONGEST_TEXT),
    maxDepth: settings.maxDepth,
    acceptHandles: settings.acceptHandles,
  };
}

// Whether the loop is libuv. Bun and Deno export functions of its names that do something else. The variable
// is for tests of what they need.
const LIBUV = process.versions.bun === undefined && process.versions.deno === undefined && process.env.RSIPC_NO_LIBUV === undefined;

// The options' names.
const OPTIONS = Object.keys(DEFAULTS).filter((name) => name !== 'serialization');

module.exports = { DEFAULTS, OPTIONS, kChannel, kPreload, TRANSPORTS, PAYLOADS, MOST_SHARED, LONGEST_TIMER, LIBUV, settingsFrom, nativeOptions };
