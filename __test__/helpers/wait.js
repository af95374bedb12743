'use strict';
// Waiting for things that happen, never for time to pass.

const { spawn } = require('node:child_process');

const WATCHDOG = 60_000; // only ever reached by a hang, however slow the machine is

// Resolves with what `event` was emitted with.
function happened(emitter, event, watchdog = WATCHDOG) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      emitter.removeListener(event, onEvent);
      reject(new Error(`'${event}' has not happened within ${watchdog} ms`));
    }, watchdog);
    const onEvent = (...values) => {
      clearTimeout(timer);
      resolve(values);
    };
    emitter.once(event, onEvent);
  });
}

// Resolves when `condition` answers true, which it is asked every few milliseconds.
async function until(condition, what, watchdog = WATCHDOG) {
  const end = Date.now() + watchdog;
  while (!await condition()) {
    if (Date.now() > end) throw new Error(`not within ${watchdog} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

// Rejects when `promise` hangs.
function within(promise, what, watchdog = WATCHDOG) {
  let timer;
  const hung = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${watchdog} ms: ${what}`)), watchdog);
  });
  return Promise.race([promise, hung]).finally(() => clearTimeout(timer));
}

// Resolves when a process that is started now has come and gone: whatever could have happened
// meanwhile has happened. For facts of the form "X is not emitted".
async function barrier() {
  const child = spawn('true', { stdio: 'ignore' });
  await happened(child, 'close');
  await new Promise(setImmediate);
}

// Everything that comes out of a stream, as text.
async function text(stream) {
  let all = '';
  stream.setEncoding('utf8');
  for await (const piece of stream) all += piece;
  return all;
}

module.exports = { happened, until, within, barrier, text, WATCHDOG };
