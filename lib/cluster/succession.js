'use strict';
// `cluster.takeOver(name)`: this primary takes the place of the one that has the name, if there is one.
//
// It gets descriptors of all that the other listens on, but accepts nothing yet. When its workers are ready, the other one
// stops accepting, this one begins, and the other's workers finish what they serve. Until then the other one has changed
// nothing: whichever of the two ends, one is left that serves. Who waits to be accepted waits in the kernel.

const { connect } = require('../endpoint/client.js');
const { node, rsipc } = require('../errors.js');
const validate = require('../validate.js');
const { DRAIN, TIMEOUT, when } = require('./reload.js');
const { Reign, endpointOf, pause } = require('./reign.js');

const RETRY = 10; // ms

// An option: called when the one before has let its name go, before anybody else can take it.
const kRelease = Symbol('rsipc.cluster.release');

// What is not there, and what has been left by one that was killed.
const NOBODY = new Set(['ENOENT', 'ECONNREFUSED', 'ERR_RSIPC_PEER_GONE']);

// What the primary before leaves: by what workers ask for, descriptors.
class Estate {
  constructor() {
    this.left = new Map();
    this.isUnknown = true;
    this.held = false; // the one before still accepts
    this.known = new Promise((resolve) => { this.tell = resolve; });
  }

  settle() {
    this.isUnknown = false;
    this.tell();
  }

  take({ key, fields, stays }, fd) {
    const left = this.left.get(key) ?? [];
    this.left.set(key, left);
    left.push({ fields, fd, stays });
  }

  // For a new listener.
  for(key) {
    return { named: true, heirloom: this.left.get(key)?.shift(), held: this.held };
  }

  // What nobody has asked for.
  close() {
    for (const left of this.left.values()) for (const { fd } of left) fd.close();
    this.left.clear();
  }
}

class Succession {
  constructor(primary, name, { timeout, drain, release }) {
    this.primary = primary;
    this.name = name;
    this.timeout = timeout;
    this.drain = drain;
    this.release = release;
    this.estate = primary.estate = new Estate();
    this.old = null; // the connection to the one before
    this.committed = false; // there is no going back to it
  }

  // Resolves with who was before, or with null.
  async run() {
    const { estate, primary } = this;
    let before = null;
    try {
      this.old = await this.#connect();
      before = this.old === null ? null : await this.#succeed();
      await this.release(before);
      primary.reign = await this.#begin();
      estate.settle();
      return before;
    } catch (error) {
      if (!this.committed) {
        await this.#giveUp(error);
        throw error;
      }
      process.emitWarning(error); // it serves, and cannot be found by its name
      return before;
    } finally {
      estate.close();
      this.old?.destroy();
    }
  }

  // One that has just gone may still have its socket.
  async #begin() {
    for (const end = Date.now() + this.timeout; ; await pause(RETRY)) {
      try {
        return await Reign.begin(this.primary, this.name);
      } catch (error) {
        if (this.old === null || error.code !== 'EADDRINUSE' || Date.now() > end) throw error;
      }
    }
  }

  async #connect() {
    try {
      const old = await connect(endpointOf(this.name), { timeout: this.timeout });
      old.on('error', () => {}); // its end is told to whoever asks it something
      return old;
    } catch (error) {
      if (NOBODY.has(error.code)) return null;
      throw error;
    }
  }

  async #succeed() {
    const { estate, old } = this;
    old.once('close', () => this.#accept());
    old.on('message', (message, fd) => estate.take(message, fd));
    const left = await this.#ask('begin');
    estate.held = !old.closed;
    estate.settle();
    if (left !== undefined) await this.#ready(left);
    await this.#ask('yield', { drain: this.drain });
    this.#accept();
    await this.#ask('end', { timeout: this.timeout, drain: this.drain, pid: process.pid });
    this.committed = true;
    return { pid: old.peer.pid };
  }

  #accept() {
    this.estate.held = false;
    for (const listener of this.primary.allListeners()) listener.hold(false);
  }

  // One that has ended need not be asked.
  async #ask(name, body) {
    try {
      return await this.old.request(name, body, { timeout: this.timeout + this.drain });
    } catch (error) {
      if (this.old.closed) return undefined;
      throw error;
    }
  }

  // Waits until as many workers as there, or all of ours, listen on as many addresses. If the other one ends meanwhile,
  // there is none to go back to.
  async #ready({ addresses, workers }) {
    const { cluster } = this.primary;
    const listening = new Map();
    const count = (worker) => listening.set(worker, (listening.get(worker) ?? 0) + 1);
    const ours = () => Object.values(cluster.workers);
    const isReady = (worker) => (addresses === 0 ? worker.state !== 'none' : (listening.get(worker) ?? 0) >= addresses);
    let ended;
    const end = (worker, code, signal) => { ended ??= signal ?? `code ${code}`; };
    cluster.on('listening', count);
    cluster.on('exit', end);
    const reached = () => {
      const there = ours();
      return there.length > 0 && there.filter(isReady).length >= Math.min(workers, there.length);
    };
    const failed = () => ended !== undefined && !this.old.closed;
    await when(cluster, ['online', 'listening', 'exit'], this.timeout, () => failed() || reached());
    cluster.removeListener('listening', count);
    cluster.removeListener('exit', end);
    if (this.old.closed) return;
    if (ended !== undefined) throw rsipc.workerNotReady(`it has exited (${ended})`);
    if (!reached()) throw rsipc.workerNotReady(`${ours().filter(isReady).length} of ${workers} workers listen after ${this.timeout} ms`);
  }

  // The other one stays, and is told why. Workers of ours that serve already finish that.
  async #giveUp(error) {
    const { estate, old, primary } = this;
    for (const listener of primary.allListeners()) if (listener.inherited) listener.hold(true);
    primary.respawn.reset();
    for (const worker of Object.values(primary.cluster.workers)) {
      primary.setRespawning(worker, false);
      if (worker.isConnected()) worker.disconnect();
      const timer = setTimeout(() => worker.process.kill('SIGKILL'), this.drain);
      worker.once('exit', () => clearTimeout(timer));
    }
    // Workers that are started from here on listen for themselves.
    primary.estate = null;
    estate.settle();
    primary.named = undefined;
    if (old !== null && !old.closed) await old.request('stay', { why: error.message }, { timeout: this.timeout }).catch(() => {});
  }
}

// One takes a name at a time; who comes meanwhile waits, and then takes it from that one.
async function takeOver(primary, name, options = {}) {
  if (typeof name !== 'string') throw node.invalidType('name', 'of type string', name);
  validate.object(options, 'options');
  const { timeout = TIMEOUT, drain = DRAIN, [kRelease]: release = () => {} } = options;
  validate.number(timeout, 'options.timeout', 1, 2 ** 31 - 1);
  validate.number(drain, 'options.drain', 0, 2 ** 31 - 1);
  if (primary.named !== undefined) throw rsipc.takenOver(primary.named);
  const { Mutex } = require('../shared/index.js');
  const mutex = Mutex.openOrCreate({ name: `rsipc.cluster.${name}` });
  primary.named = name;
  const succession = new Succession(primary, name, { timeout, drain, release });
  try {
    return await mutex.with(() => succession.run(), { timeout });
  } catch (error) {
    primary.named = undefined;
    throw error;
  } finally {
    mutex.close();
  }
}

module.exports = { kRelease, takeOver };
