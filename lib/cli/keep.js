'use strict';
// Keeps the workers of a cluster running: starts one anew that ended unasked, and exchanges all for new ones.

const FIRST_DELAY = 100;
const LONGEST_DELAY = 5_000;
const WINDOW = 60_000; // in which restarts are counted
const NEVER_READY = 3; // restarts, of a program that has not been ready once

// `slotOf(worker)` is the place of a worker, which its successor takes; `isLeaving(worker)` tells whether none is to follow.
function keep(cluster, { maxRestarts, slotOf, isLeaving, onRestart, onGiveUp }) {
  const restarts = new Map(); // of each place: when
  let wasReady = false;
  const timers = new Set();
  cluster.on('listening', () => (wasReady = true));
  cluster.on('exit', (worker, code) => {
    if (isLeaving(worker) || worker.rsipcReplaces) return;
    const slot = slotOf(worker);
    if (code === 0 && !wasReady) return; // no server, and done
    const since = Date.now() - WINDOW;
    const times = (restarts.get(slot) ?? []).filter((time) => time > since);
    restarts.set(slot, times);
    if (times.length >= (wasReady ? maxRestarts : Math.min(maxRestarts, NEVER_READY))) {
      onGiveUp(slot, times.length);
      return;
    }
    const delay = Math.min(FIRST_DELAY * 2 ** times.length, LONGEST_DELAY);
    times.push(Date.now());
    const timer = setTimeout(() => {
      timers.delete(timer);
      onRestart(slot);
      cluster.fork();
    }, delay);
    timers.add(timer);
  });
  return {
    // Whether a worker is about to be started.
    get waiting() {
      return timers.size > 0;
    },
    forget() {
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
      restarts.clear();
    },
  };
}

// Resolves when a new worker is ready for what the others did; rejects with the reason when it never is.
function ready(worker, event, timeout) {
  return new Promise((resolve, reject) => {
    const settle = (error) => {
      clearTimeout(timer);
      worker.removeListener(event, settle);
      worker.removeListener('exit', onExit);
      if (error instanceof Error) reject(error);
      else resolve();
    };
    const onExit = (code, signal) => settle(new Error(`the new worker ended (${signal ?? `exit code ${code}`}) before it was ready`));
    const timer = setTimeout(() => settle(new Error(`the new worker was not ready within ${timeout} ms`)), timeout);
    worker.once(event, settle);
    worker.once('exit', onExit);
  });
}

// One after the other, the new one first. `retire` lets an old one go; `isLeaving` tells which go already.
async function reload(cluster, { timeout, retire, isLeaving }) {
  for (const old of Object.values(cluster.workers)) {
    if (old.isDead() || isLeaving(old)) continue;
    const event = old.state === 'listening' ? 'listening' : 'online';
    const fresh = cluster.fork();
    fresh.rsipcReplaces = true;
    try {
      await ready(fresh, event, timeout);
    } catch (error) {
      fresh.process.kill('SIGKILL');
      throw error;
    }
    fresh.rsipcReplaces = false;
    retire(old);
  }
}

module.exports = { keep, reload };
