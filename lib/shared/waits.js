'use strict';
// Waits that leave the thread free. A wait looks, has the next change ring the bell of this environment, looks again,
// and sleeps until the bell rings. So no ring is missed: the change is seen by the second look or rings. The first
// three steps are one native call, an attempt that arms.
//
// Nobody rings for a process that was killed between its change and the ring. For its sake all that sleeps looks again
// once a second, and gives back what the dead held.

const { rsipc, abortError } = require('../errors.js');
const validate = require('../validate.js');
const { LONGEST_TIMER } = require('../fork/settings.js');
const environment = require('./environment.js');

const SLOWLY = 1_000; // milliseconds
const SLICE = 50; // milliseconds that a blocking wait spends in native code: a thread may be terminated meanwhile
const MAX_SPIN = 10_000; // microseconds
const NOTHING = Object.freeze({});
const NEVER = new Int32Array(new SharedArrayBuffer(4)); // to sleep at

const asleep = new Set();
let referenced = 0; // how many of them keep the process alive
let held = false; // whether the bell does
let deciding = false;
let timer = null;

// What can be waited for in one place, in turn: records of a ring, room in it, a newer value of a cell. `owner` is
// whose end ends the waits, `inner` the inner side of the object, `native` what is armed.
class Sleeper {
  constructor(owner, inner, native) {
    this.owner = owner;
    this.inner = inner;
    this.native = native;
    this.waits = [];
    this.counted = false;
  }

  get busy() {
    return this.waits.length > 0;
  }
}

function count(sleeper, on) {
  if (sleeper.counted === on) return;
  sleeper.counted = on;
  referenced += on ? 1 : -1;
  if (on === held || deciding) return;
  deciding = true;
  queueMicrotask(decide);
}

// Once the program has had its turn: most wait again at once.
function decide() {
  deciding = false;
  if (held === referenced > 0) return;
  held = referenced > 0;
  environment.setRef(held);
}

// Lets the waits of an object keep the process alive, or not.
function setRef(inner, on) {
  inner.referenced = on;
  for (const sleeper of asleep) if (sleeper.inner === inner) count(sleeper, on);
}

function lookSlowly() {
  if (asleep.size === 0) {
    clearInterval(timer);
    timer = null;
    return;
  }
  for (const sleeper of [...asleep]) {
    try {
      sleeper.native.sweep();
    } catch {
      // It is damaged; the look says so to whom it concerns.
    }
    look(sleeper);
  }
}

function lookAtAll() {
  if (asleep.size === 1) for (const sleeper of asleep) look(sleeper);
  else for (const sleeper of [...asleep]) look(sleeper);
}

// Settles the waits whose time has come, in their order.
function look(sleeper) {
  while (sleeper.waits.length > 0) {
    const [wait] = sleeper.waits;
    let value;
    try {
      value = wait.attempt();
      if (value === undefined) return;
    } catch (error) {
      settle(wait, wait.reject, error);
      continue;
    }
    settle(wait, wait.resolve, value);
  }
}

function settle(wait, how, value) {
  const { sleeper, deadline, signal } = wait;
  const place = sleeper.waits.indexOf(wait);
  if (place === -1) return;
  sleeper.waits.splice(place, 1);
  if (deadline !== undefined) clearTimeout(deadline);
  if (signal !== undefined) signal.removeEventListener('abort', wait.onAbort);
  how(value);
  if (sleeper.waits.length > 0) return;
  asleep.delete(sleeper);
  count(sleeper, false); // last: what waits for the value goes on before it is decided
}

// Nothing more is waited for here: so that nobody rings in vain.
function giveUp(wait, error) {
  settle(wait, wait.reject, error);
  const { waits, native } = wait.sleeper;
  if (waits.length > 0) return;
  try {
    native.disarm();
  } catch {
    // It is closed.
  }
}

// Resolves with what `attempt`, which arms, answers once that is not undefined. `armed` says that it has been made
// already. `what` names the wait in an error.
function wait(sleeper, attempt, armed, { timeout, signal }, what) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(abortError(signal));
      return;
    }
    const one = { sleeper, attempt, resolve, reject, deadline: undefined, signal, onAbort: undefined };
    listen();
    if (timeout <= LONGEST_TIMER) {
      // The bell keeps the process alive, or the user does not want it to stay.
      one.deadline = setTimeout(() => giveUp(one, rsipc.waitTimeout(what(), timeout)), timeout).unref();
    }
    if (signal !== undefined) {
      one.onAbort = () => giveUp(one, abortError(signal));
      signal.addEventListener('abort', one.onAbort, { once: true });
    }
    sleeper.waits.push(one);
    if (sleeper.waits.length > 1) return;
    asleep.add(sleeper);
    count(sleeper, sleeper.inner.referenced);
    timer ??= setInterval(lookSlowly, SLOWLY).unref();
    if (!armed) look(sleeper);
  });
}

// From now on arming is of use.
function listen() {
  environment.listen(lookAtAll);
}

// Rejects all that waits for `owner`, which is closed.
function end(owner, error) {
  for (const sleeper of [...asleep]) {
    if (sleeper.owner !== owner) continue;
    for (const one of [...sleeper.waits]) settle(one, one.reject, error());
  }
}

// Blocks the thread until `attempt`, given microseconds and milliseconds, answers with something else than undefined.
// What waits at the same place already comes first.
function waitSync(sleeper, attempt, { timeout, spin }, what) {
  const started = performance.now();
  for (let left = timeout; ; left = timeout - (performance.now() - started)) {
    look(sleeper);
    if (sleeper.busy) {
      if (left <= 0) throw rsipc.waitTimeout(what(), timeout);
      Atomics.wait(NEVER, 0, 0, 1);
      continue;
    }
    const value = attempt(spin, Math.max(0, Math.min(left, SLICE)));
    if (value !== undefined) return value;
    if (left <= 0) throw rsipc.waitTimeout(what(), timeout);
  }
}

// The options of a wait, checked.
function checked(options) {
  if (options === undefined) return { timeout: Infinity, signal: undefined, spin: 0 };
  validate.object(options, 'options');
  const { timeout = Infinity, signal, spin = 0 } = options;
  validate.number(timeout, 'options.timeout');
  validate.signal(signal, 'options.signal');
  validate.number(spin, 'options.spin', 0, MAX_SPIN);
  return { timeout, signal, spin };
}

function checkedSync(options = NOTHING) {
  validate.object(options, 'options');
  const { timeout = Infinity, spin = 20 } = options;
  validate.number(timeout, 'options.timeout');
  validate.number(spin, 'options.spin', 0, MAX_SPIN);
  return { timeout, spin };
}

module.exports = { Sleeper, wait, waitSync, end, setRef, listen, checked, checkedSync };
