'use strict';
// What is still queued when the process ends is written before it does.
//
// `process.exit()` and an uncaught exception both pass through the 'exit' event; there the queues
// are written with blocking calls. A peer that takes nothing for `flushDeadline` milliseconds is
// given up, and what it lost is told. Messages sent by other 'exit' listeners are written at once.
// Several peers are waited for together: ten that are stopped cost no more time than one.

const fs = require('node:fs');
const { node } = require('../errors.js');
const validate = require('../validate.js');

const SLICE = 10; // ms for one of several peers before it is another's turn

const links = new Set();
const givenUp = new WeakSet();
const state = { exiting: false, watch, forget, flushLate, flushOnSignals };
let installed = false;

function watch(link) {
  links.add(link);
  if (!installed) {
    installed = true;
    process.on('exit', onExit);
  }
}

function forget(link) {
  links.delete(link);
}

// Writes everything that is queued; answers what could not be written, one entry a channel.
function flushAll(deadline) {
  const lost = [];
  let waiting = [];
  for (const link of links) {
    const { bytes } = link.flushSync({ deadline: 0 });
    if (bytes > 0 && !link.native.writeEnded) waiting.push({ link, bytes, since: performance.now() });
  }
  while (waiting.length > 0) {
    waiting = waiting.filter((one) => {
      const { link } = one;
      const patience = deadline ?? link.settings.flushDeadline;
      const left = link.flushSync({ deadline: waiting.length === 1 ? patience : Math.min(SLICE, patience) });
      const now = performance.now();
      if (left.bytes < one.bytes) one.since = now;
      one.bytes = left.bytes;
      if (link.native.writeEnded) return false; // nobody is there any more: under Node this says nothing either
      if (left.bytes > 0 && now - one.since < patience) return true;
      if (left.bytes > 0) {
        givenUp.add(link);
        lost.push({ peer: link.who(), ...left });
      }
      return false;
    });
  }
  return lost;
}

// Writes what was sent while the process exits. A peer that has been given up is not waited for again.
function flushLate(link) {
  if (givenUp.has(link)) {
    link.flushSync({ deadline: 0 });
    return;
  }
  const left = link.flushSync();
  if (left.messages === 0 || link.native.writeEnded) return;
  givenUp.add(link);
  tell([{ peer: link.who(), ...left }]);
}

function onExit() {
  state.exiting = true;
  tell(flushAll());
}

// The event loop has ended, so a warning can only be written by hand.
function tell(lost) {
  for (const { peer, messages, bytes } of lost) {
    const text = `(rsipc:${process.pid}) Warning: ${messages} message${messages === 1 ? '' : 's'} (${bytes} bytes) ` +
      `to ${peer} were not delivered: it took nothing until the deadline\n`;
    try {
      fs.writeSync(2, text);
    } catch {
      // Nobody is left to tell.
    }
  }
}

// Opt-in: on one of these signals, write what is queued and then end as the signal would have ended us.
function flushOnSignals(signals = ['SIGTERM'], options = {}) {
  if (!Array.isArray(signals)) throw node.invalidType('signals', 'an instance of Array', signals);
  validate.object(options, 'options');
  const { deadline } = options;
  if (deadline !== undefined) validate.number(deadline, 'options.deadline');
  const handlers = signals.map((signal) => {
    const handler = () => {
      tell(flushAll(deadline));
      remove();
      // Other listeners decide what the signal means; without any it ends the process.
      if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
    };
    process.on(signal, handler);
    return [signal, handler];
  });
  const remove = () => {
    for (const [signal, handler] of handlers) process.removeListener(signal, handler);
  };
  return remove;
}

module.exports = state;
