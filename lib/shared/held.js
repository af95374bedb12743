'use strict';
// What is held of a lock, until it is released.
//
// One that is forgotten is released when it is collected, with a warning. To watch for that costs more than a lock and
// its release, so it begins when the thread has come back to its loop: what is released before was not forgotten.

const { onlyWith } = require('./object.js');
const waits = require('./waits.js');

// What gives a share of a lock back; all that is held of the lock in one way has the same.
class Grip {
  // `giveBack` is told how much of the native part; `sleeper` has the waits of this environment.
  constructor(inner, sleeper, giveBack) {
    this.inner = inner;
    this.sleeper = sleeper;
    this.giveBack = giveBack;
    this.fresh = null; // held since this turn of the loop, and not watched yet
    this.queued = false;
  }

  release(amount) {
    if (this.inner.closed) return;
    try {
      this.giveBack(amount);
    } finally {
      if (this.sleeper.busy) waits.look(this.sleeper);
    }
  }
}

const forgotten = new FinalizationRegistry(({ grip, amount }) => {
  if (grip.inner.closed) return;
  process.emitWarning(`${grip.inner.what()} was held by an object that was collected; it is released now. Call release() on all that is acquired.`,
    { type: 'RsipcWarning', code: 'RSIPC_LOCK_FORGOTTEN' });
  try {
    grip.release(amount);
  } catch {
    // It was taken away before.
  }
});

let queue = [];

function watchAll() {
  const grips = queue;
  queue = [];
  for (const grip of grips) {
    grip.queued = false;
    const held = grip.fresh;
    grip.fresh = null;
    watch(held);
  }
}

let watch;

class Held {
  #grip;
  #fence;
  #recovered;
  #amount;
  #held = true;
  #watched = false;

  constructor(key, grip, fence, recovered, amount) {
    onlyWith(key);
    this.#grip = grip;
    this.#fence = fence;
    this.#recovered = recovered;
    this.#amount = amount;
    if (grip.fresh !== null) watch(grip.fresh);
    grip.fresh = this;
    if (grip.queued) return;
    grip.queued = true;
    if (queue.push(grip) === 1) queueMicrotask(watchAll);
  }

  static {
    watch = (held) => {
      if (!held.#held || held.#watched) return;
      held.#watched = true;
      forgotten.register(held, { grip: held.#grip, amount: held.#amount }, held);
    };
  }

  get recovered() {
    return this.#recovered;
  }

  get fence() {
    return BigInt(this.#fence);
  }

  get held() {
    return this.#held && !this.#grip.inner.closed;
  }

  release() {
    if (!this.#held) return;
    this.#held = false;
    if (this.#watched) forgotten.unregister(this);
    this.#grip.release(this.#amount);
  }

  [Symbol.dispose ?? Symbol.for('nodejs.dispose')]() {
    this.release();
  }
}

// A lock's waits begin to be woken when they are tried, and are tried often: its owner may die without a sound.
function sleeper(owner, inner, disarm = () => inner.native.cancel()) {
  const native = { disarm, sweep: () => inner.native.sweep() };
  return new waits.Sleeper(owner, inner, native, true);
}

// Runs `use` with what is held, and releases it whatever comes of that.
async function using(acquired, use) {
  const held = await acquired;
  try {
    return await use(held);
  } finally {
    held.release();
  }
}

module.exports = { Grip, Held, sleeper, using };
