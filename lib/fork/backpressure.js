'use strict';
// Above the high-water mark `send` returns false; below it again the channel says 'drain' and
// `ready()` resolves.

const { rsipc, abortError } = require('../errors.js');
const validate = require('../validate.js');
const { LONGEST_TIMER } = require('./settings.js');

function above(link) {
  const { native, settings: { highWaterMark } } = link;
  return native.queuedBytes >= highWaterMark.bytes || native.queuedMessages >= highWaterMark.messages;
}

// Asking the native channel costs a call: as long as what was added since it was last known to be empty cannot
// reach the mark, it is not asked.
function below(link, size) {
  const { highWaterMark } = link.settings;
  link.bound += size;
  if (link.bound < highWaterMark.bytes && ++link.boundMessages < highWaterMark.messages) return true;
  const { queuedBytes, queuedMessages } = link.native;
  link.bound = queuedBytes;
  link.boundMessages = queuedMessages;
  if (queuedBytes < highWaterMark.bytes && queuedMessages < highWaterMark.messages) return true;
  link.needDrain = true;
  return false;
}

function settle(link, error) {
  const waiters = link.drainWaiters;
  link.drainWaiters = [];
  for (const waiter of waiters) waiter(error);
}

function drained(link) {
  settle(link);
  link.control.emit?.('drain');
}

function ended(link) {
  settle(link, rsipc.peerGone(link.who(), 'Waiting for the queue to drain'));
}

function ready(link, options = {}) {
  validate.object(options, 'options');
  const { timeout = Infinity, signal } = options;
  validate.number(timeout, 'options.timeout');
  validate.signal(signal, 'options.signal');
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(abortError(signal));
    if (!link.open || !link.target.connected) return reject(rsipc.peerGone(link.who(), 'Waiting for the queue to drain'));
    if (!above(link)) return resolve();
    link.needDrain = true;
    const done = (error) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      const index = link.drainWaiters.indexOf(done);
      if (index !== -1) link.drainWaiters.splice(index, 1);
      if (error) reject(error);
      else resolve();
    };
    const timer = timeout > LONGEST_TIMER ? undefined : setTimeout(() => done(rsipc.timeout('Waiting for the queue to drain', timeout)), timeout);
    const onAbort = () => done(abortError(signal));
    signal?.addEventListener('abort', onAbort, { once: true });
    link.drainWaiters.push(done);
  });
}

module.exports = { above, below, drained, ended, ready };
