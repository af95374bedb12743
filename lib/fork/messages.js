'use strict';
// `getOneMessage` and `getEachMessage`: messages as a promise and as an async iterator.
//
// Both are ordinary 'message' listeners, so messages that came earlier are theirs too. They give messages alone: a
// handle that came along is closed, since nobody could ever take it. Who expects handles listens to 'message'.

const { rsipc, abortError } = require('../errors.js');
const validate = require('../validate.js');
const { release } = require('./handles.js');
const { LONGEST_TIMER } = require('./settings.js');

// Unless somebody else listens, who may have taken it.
function closeUntaken(target, handle) {
  if (handle !== undefined && target.listenerCount('message') === 1) release(handle);
}

function checked(options = {}) {
  validate.object(options, 'options');
  const { filter, timeout = Infinity, signal } = options;
  if (filter !== undefined) validate.callable(filter, 'options.filter');
  validate.number(timeout, 'options.timeout');
  validate.signal(signal, 'options.signal');
  return { filter, timeout, signal };
}

// Resolves with the next message that passes `filter`.
function getOneMessage(target, who, options) {
  const { filter, timeout, signal } = checked(options);
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(abortError(signal));
    const onMessage = (message, handle) => {
      closeUntaken(target, handle);
      try {
        if (filter === undefined || filter(message)) settle(() => resolve(message));
      } catch (error) {
        settle(() => reject(error));
      }
    };
    // Messages that were kept are handed out a tick after a listener came, so the end waits for them.
    const onDisconnect = () => setImmediate(() => settle(() => reject(rsipc.peerGone(who(), 'Waiting for a message'))));
    const onAbort = () => settle(() => reject(abortError(signal)));
    const timer = timeout > LONGEST_TIMER ? undefined : setTimeout(() => settle(() => reject(rsipc.timeout('Waiting for a message', timeout))), timeout);
    const settle = (then) => {
      clearTimeout(timer);
      target.removeListener('message', onMessage);
      target.removeListener('disconnect', onDisconnect);
      signal?.removeEventListener('abort', onAbort);
      then();
    };
    target.on('message', onMessage);
    if (target.connected) target.once('disconnect', onDisconnect);
    else onDisconnect();
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

// Every message until the channel ends. The reader's pace is the peer's: while messages wait here,
// at most `highWaterMark` of them, the channel is not read.
async function* getEachMessage(target, link, options) {
  const { filter, signal } = checked(options);
  if (signal?.aborted) throw abortError(signal);
  const limit = 1_024;
  const waiting = [];
  let wake = null;
  let ended = !target.connected;
  let failure = null;
  const ring = () => {
    if (wake !== null) wake();
  };
  const onMessage = (message, handle) => {
    closeUntaken(target, handle);
    try {
      if (filter !== undefined && !filter(message)) return;
    } catch (error) {
      failure ??= error;
      ring();
      return;
    }
    waiting.push(message);
    if (waiting.length >= limit) link?.hold(waiting, true);
    ring();
  };
  const onDisconnect = () => {
    ended = true;
    setImmediate(ring);
  };
  const onAbort = () => {
    failure ??= abortError(signal);
    ring();
  };
  target.on('message', onMessage);
  target.once('disconnect', onDisconnect);
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    if (ended) await new Promise(setImmediate);
    for (;;) {
      if (failure !== null) throw failure;
      if (waiting.length > 0) {
        const message = waiting.shift();
        if (waiting.length === 0) link?.hold(waiting, false);
        yield message;
        continue;
      }
      if (ended) return;
      await new Promise((resolve) => {
        wake = resolve;
      });
      wake = null;
    }
  } finally {
    target.removeListener('message', onMessage);
    target.removeListener('disconnect', onDisconnect);
    signal?.removeEventListener('abort', onAbort);
    link?.hold(waiting, false);
    // What was taken and not given out is the next listener's, unless one has had it already.
    if (waiting.length > 0 && target.listenerCount('message') === 0) link?.inbox.giveBack(waiting);
  }
}

module.exports = { getOneMessage, getEachMessage };
