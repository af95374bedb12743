'use strict';
// What the user sees of a link: `send`, `disconnect`, `connected` and `channel` on a ChildProcess, on
// `process` or on a ChannelEnd, with Node's order of arguments and Node's words.

const { deprecate } = require('node:util');
const { node } = require('../errors.js');
const { Control } = require('./control.js');
const { Link } = require('./channel.js');
const { PREFIX, isInternal } = require('./internal.js');

const kLink = Symbol.for('rsipc.channel');
const NO_OPTIONS = Object.freeze({ swallowErrors: false });
const SWALLOW = Object.freeze({ swallowErrors: true });

// Commands of Node's own that user code may well send through `send`: node:cluster does.
const KNOWN_COMMANDS = /^NODE_(CLUSTER|HANDLE|HANDLE_ACK|HANDLE_NACK|SOCKET_\w+|DEBUG_ENABLED|RSIPC)$/;

let warnedOfPrefix = false;

// Node's receiver takes such a message for its own and no listener ever sees it.
function warnOfPrefix(cmd) {
  if (warnedOfPrefix || KNOWN_COMMANDS.test(cmd)) return;
  warnedOfPrefix = true;
  process.emitWarning(
    `A message whose "cmd" begins with "${PREFIX}" reaches no 'message' listener: Node keeps that prefix for itself. Rename the field's value.`,
    { type: 'RsipcWarning', code: 'RSIPC_RESERVED_CMD' });
}

const major = Number(process.versions.node.split('.')[0]);

function defineDeprecatedAlias(target) {
  if (major >= 26) return;
  const text = '_channel is deprecated. Use ChildProcess.channel instead.';
  Object.defineProperty(target, '_channel', {
    __proto__: null,
    get: deprecate(() => target.channel, text, 'DEP0129'),
    set: deprecate((value) => { target.channel = value; }, text, 'DEP0129'),
    configurable: true,
    enumerable: false,
  });
}

// Puts a channel on `target`. `control` is given when the object that `target.channel` shows exists
// already, as `process.channel` does. The link is the caller's to start.
function attach(target, nativeChannel, settings, role, control) {
  const link = new Link(target, nativeChannel, settings, role);
  Object.defineProperty(target, kLink, { value: link, configurable: true, enumerable: false, writable: true });
  link.control = control ? control(link) : new Control(link);
  target.channel = control ? target.channel : link.control;
  defineDeprecatedAlias(target);
  target._handleQueue = null;
  target._pendingMessage = null;
  // Not an assignment: under Bun the prototype has a getter of that name.
  Object.defineProperty(target, 'connected', { value: true, writable: true, enumerable: true, configurable: true });

  // Without names, as Node's are.
  target.send = function (message, handle, options, callback) {
    if (typeof handle === 'function') {
      callback = handle;
      handle = undefined;
      options = undefined;
    } else if (typeof options === 'function') {
      callback = options;
      options = undefined;
    } else if (options !== undefined && (options === null || typeof options !== 'object' || Array.isArray(options))) {
      throw node.invalidType('options', 'of type object', options);
    }
    options = options === undefined ? NO_OPTIONS : { swallowErrors: false, ...options };
    if (options.receipt) {
      const receipt = link.peer.sendWithReceipt(message, handle, options);
      if (typeof callback === 'function') receipt.then(() => process.nextTick(callback, null), (error) => process.nextTick(callback, error));
      return receipt;
    }
    if (this.connected) {
      if (message !== null && typeof message === 'object' && isInternal(message)) warnOfPrefix(message.cmd);
      return this._send(message, handle, options, callback);
    }
    const error = node.channelClosed();
    if (typeof callback === 'function') process.nextTick(callback, error);
    else process.nextTick(() => this.emit('error', error));
    return false;
  };

  target._send = function (message, handle, options, callback) {
    if (typeof options === 'boolean') options = options ? SWALLOW : NO_OPTIONS;
    return link.send(message, handle, options ?? NO_OPTIONS, callback);
  };

  target.disconnect = function () {
    link.disconnect();
  };

  target._disconnect = function () {
    link.finishDisconnect();
  };

  target.on('newListener', () => {
    if (link.inbox.early.length > 0) process.nextTick(() => link.inbox.deliverEarly());
  });

  return link;
}

// Our link on `target`; undefined when its channel is not ours.
function linkOf(target) {
  return target[kLink];
}

module.exports = { attach, linkOf, kLink };
