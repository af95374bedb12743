'use strict';
// Replaces workers without losing a request: the new one is ready first, then the old one gets nothing new, answers what it
// has with `Connection: close`, and ends.

const { rsipc } = require('../errors.js');
const validate = require('../validate.js');

const TIMEOUT = 30_000;
const DRAIN = 5_000;

// Resolves when `check` says so, which is asked at each of these events, or at the end of the time, with what it said.
function when(worker, events, milliseconds, check) {
  return new Promise((resolve) => {
    const finish = (found) => {
      clearTimeout(timer);
      for (const event of events) worker.removeListener(event, look);
      resolve(found);
    };
    const look = () => {
      const found = check();
      if (found) finish(found);
    };
    const timer = setTimeout(() => finish(check()), milliseconds);
    for (const event of events) worker.on(event, look);
    look();
  });
}

const isOver = (worker) => worker.isDead() || worker.exitedAfterDisconnect !== undefined && !worker.isConnected();

// Waits until a new worker listens on as many addresses as the old one does.
async function ready(primary, worker, addresses, timeout) {
  let listening = 0;
  worker.on('listening', () => listening++);
  const reached = () => (addresses === 0 ? worker.state !== 'none' : listening >= addresses);
  await when(worker, ['online', 'listening', 'exit'], timeout, () => worker.isDead() || reached());
  const { exitCode, signalCode } = worker.process;
  if (worker.isDead()) throw rsipc.workerNotReady(`it has exited (${signalCode ?? `code ${exitCode}`})`);
  if (!reached()) throw rsipc.workerNotReady(`it listens on ${listening} of ${addresses} addresses after ${timeout} ms`);
}

async function replace(primary, old, { timeout, drain }) {
  const addresses = primary.addressesOf(old);
  const variables = primary.variablesOf(old);
  const worker = primary.forkAgain(variables, primary.placeOf(old));
  primary.setRespawning(worker, false); // its end is told to the caller
  primary.setReplaced(old, true);
  try {
    await ready(primary, worker, addresses, timeout);
  } catch (error) {
    worker.process.kill('SIGKILL');
    primary.setReplaced(old, false);
    if (old.isDead() && !old.exitedAfterDisconnect) {
      // Nobody is in its place after all.
      const { exitCode, signalCode } = old.process;
      primary.respawn.exited(variables, 0, exitCode, signalCode);
      primary.respawn.closeUnused();
    }
    throw error;
  }
  primary.setRespawning(worker, true);
  primary.setReplaced(old, false);
  primary.setRespawning(old, false);
  if (old.isDead()) primary.respawn.closeUnused();
  await retire(primary, old, { timeout, drain });
  return worker;
}

async function retire(primary, worker, { timeout, drain }) {
  if (worker.isDead()) return;
  worker.pause();
  if (primary.tellInside(worker, 'drain')) {
    let drained = false;
    worker.once('drained', () => { drained = true; });
    await when(worker, ['drained', 'disconnect', 'exit'], drain, () => drained || isOver(worker));
  }
  if (worker.isConnected()) worker.disconnect();
  await when(worker, ['exit'], timeout, () => worker.isDead());
  if (worker.isDead()) return;
  worker.process.kill('SIGKILL');
  await when(worker, ['exit'], timeout, () => worker.isDead());
}

async function reload(primary, options = {}) {
  validate.object(options, 'options');
  const { timeout = TIMEOUT, drain = DRAIN } = options;
  validate.number(timeout, 'options.timeout', 1, 2 ** 31 - 1);
  validate.number(drain, 'options.drain', 0, 2 ** 31 - 1);
  if (primary.reloading) throw rsipc.reloading();
  primary.reloading = true;
  try {
    const { ends } = primary;
    const workers = [];
    const all = Object.values(primary.cluster.workers);
    primary.respawn.hurry();
    // One after the other: there are never more than one too many.
    for (const old of all) {
      if (primary.ends !== ends) throw rsipc.workerNotReady('the cluster has been disconnected');
      if (old.isConnected()) workers.push(await replace(primary, old, { timeout, drain }));
    }
    return workers;
  } finally {
    primary.reloading = false;
  }
}

module.exports = { DRAIN, TIMEOUT, reload, retire, when };
