'use strict';
// A script run as a cluster: its workers, how they are, and their exchange and end.
//
// A worker has a place, from 1 on, which its successor takes: that is the number people see. Node's `worker.id` counts
// on, and is what the program sees.
//
// Emits 'line' (what happened, as text), 'output' (place, 'stdout' or 'stderr', lines; the worker waits while a listener
// says `hold`), and 'end' once, with the exit code and why.

const EventEmitter = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { parseEnv } = require('node:util');
const { rsipc } = require('../errors.js');
const { cluster: ownCluster } = require('../cluster/index.js');
const { kRelease } = require('../cluster/succession.js');
const { plural } = require('./text.js');
const { Lines } = require('./lines.js');

const INSIDE = path.join(__dirname, 'worker.js');
const SILENT = 3_000; // without a report: its loop is blocked
const DRAINED = 1_000; // for a worker that has nothing left to serve, until it is told to end
const LAST_WORDS = 1_000; // for output of a worker that has ended, while something it started holds it open
const FIRST_DELAY = 100; // until a worker is started again, doubled with each that ends soon
const LONGEST_DELAY = 5_000;
const NEVER_READY = 3; // ends in a row of a program that has not listened once, or one for each worker
const DRAIN = 5_000; // for a worker that is exchanged to part from its clients

// How a run ended.
const EXIT = { stopped: 0, failed: 1, gaveUp: 3, killed: 4 };

// `*:3000`, `127.0.0.1:3000`, `/run/app.sock`, `udp 0.0.0.0:53`.
function addressText({ address, port, addressType }) {
  if (addressType === -1) return String(address);
  const host = address == null || address === '::' ? '*' : String(address).includes(':') ? `[${address}]` : address;
  return `${String(addressType).startsWith('udp') ? 'udp ' : ''}${host}:${port}`;
}

class Supervisor extends EventEmitter {
  constructor(settings) {
    super();
    this.settings = settings;
    this.cluster = ownCluster();
    this.slots = [];
    this.members = new Map(); // of each living worker: what is known of it
    this.generation = 0;
    this.reloads = 0;
    this.restarts = 0;
    this.killed = 0;
    this.stopping = false;
    this.ended = false;
    this.inPlace = true; // false while another run still has the name
    this.outcome = undefined; // how it ends, where that is no stop and no failure of workers
    this.reloading = null;
    this.next = null;
    this.wasReady = false;
    this.gaveUp = false;
    this.failure = undefined; // the last bad end of a worker
    this.begin = Date.now();
    this.fromFile = []; // names of the variables that --dotenv has set
  }

  // `succeed`: takes the name, when the run that has it lets it go. Without it this run has no name.
  start(succeed) {
    const { cluster, settings } = this;
    if (cluster.reload === undefined) throw rsipc.notAvailable('rsipc run');
    this.#readVariables();
    cluster.setupPrimary({
      exec: settings.script,
      args: settings.args,
      execArgv: [...process.execArgv, '--require', INSIDE],
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // The terminal's ^C is for us, who then let them finish what they serve.
      detached: true,
      dieWithParent: true,
      respawn: this.#respawn(),
      ...(settings.scheduling !== undefined && { scheduling: settings.scheduling }),
      ...(settings.sticky !== undefined && { sticky: settings.sticky }),
    });
    cluster.on('fork', (worker) => this.#joined(worker));
    cluster.on('online', (worker) => this.#step(worker, 'online'));
    cluster.on('listening', (worker, address) => this.#listening(worker, address));
    cluster.on('exit', (worker, code, signal) => this.#exited(worker, code, signal));
    cluster.on('crashLoop', () => {
      this.gaveUp = true;
      this.emit('line', 'no worker is started again: they ended again and again');
    });
    if (succeed !== undefined) this.#takeOver(succeed);
    for (let number = 1; number <= settings.instances; number++) {
      this.slots.push({ number, members: [], restarts: 0, crashed: false });
      cluster.fork();
    }
  }

  // ---- other primaries ----

  async #takeOver(succeed) {
    const { cluster, settings } = this;
    const { reloadTimeout: timeout } = settings;
    this.inPlace = settings.replace !== true;
    cluster.on('replaced', ({ pid }) => this.#replaced(pid));
    cluster.on('notReplaced', (error) => this.emit('line', `not replaced: ${error.message}`));
    try {
      const before = await cluster.takeOver(`run.${settings.name}`, { timeout, drain: Math.min(timeout, DRAIN), [kRelease]: succeed });
      this.inPlace = true;
      if (before !== null) this.emit('line', `in the place of pid ${before.pid}`);
      if (before !== null || this.wasReady) this.emit('ready');
    } catch (error) {
      if (this.stopping) return;
      this.outcome = [EXIT.failed, error.message];
      this.emit('line', error.message);
      this.stop('it has not got its place');
    }
  }

  // Its workers are told to go by the cluster.
  #replaced(pid) {
    this.stopping = true;
    this.outcome = [EXIT.stopped, `replaced by pid ${pid}`];
    for (const member of this.members.values()) member.leaving = true;
    this.emit('replaced');
    if (this.members.size === 0) this.#end();
  }

  // A program that has never been ready is not tried for long: somebody waits to be told.
  #respawn() {
    const { maxRestarts, instances } = this.settings;
    const limit = this.wasReady ? maxRestarts : Math.min(maxRestarts, Math.max(NEVER_READY, instances));
    return limit === 0 ? false : { delay: FIRST_DELAY, maxDelay: LONGEST_DELAY, limit };
  }

  // ---- environment ----

  // What the environment has already stays. Not called --env-file: Node 20 takes that for its own wherever it stands.
  #readVariables() {
    const { dotenv } = this.settings;
    if (dotenv === undefined) return;
    if (parseEnv === undefined) throw new Error('--dotenv needs Node 20.12 or later');
    const variables = parseEnv(fs.readFileSync(dotenv, 'utf8'));
    for (const name of this.fromFile) delete process.env[name];
    this.fromFile = Object.keys(variables).filter((name) => !Object.hasOwn(process.env, name));
    for (const name of this.fromFile) process.env[name] = variables[name];
  }

  // ---- workers ----

  // That of a worker which is to be exchanged, else a free one.
  #place() {
    const { slots, generation } = this;
    const free = slots.find(({ members }) => members.length === 0);
    const exchanged = slots.find(({ members }) => members.length > 0 && members.every((member) => member.generation < generation));
    return (this.reloading === null ? free ?? exchanged : exchanged ?? free) ?? slots[0];
  }

  #joined(worker) {
    const slot = this.#place();
    if (slot.crashed) {
      slot.crashed = false;
      slot.restarts++;
      this.restarts++;
    }
    const member = {
      worker,
      slot,
      generation: this.generation,
      since: Date.now(),
      state: 'starting',
      addresses: new Set(),
      gauges: undefined,
      gaugesAt: 0,
      rate: undefined,
      leaving: false, // because it is stopped
      killed: false,
      open: true,
      lastWords: undefined,
    };
    slot.members.push(member);
    this.members.set(worker, member);
    const { process: child } = worker;
    child.on('internalMessage', (message) => {
      if (message.cmd === 'NODE_RSIPC_CLUSTER' && message.act === 'gauges') this.#gauges(member, message);
    });
    // What still keeps it running is no client: a program that listens for SIGTERM can end that in good order.
    child.once('disconnect', () => {
      const timer = setTimeout(() => child.kill('SIGTERM'), DRAINED);
      child.once('exit', () => clearTimeout(timer));
    });
    for (const name of ['stdout', 'stderr']) this.#relay(member, name, child[name]);
    child.once('close', () => this.#closed(member));
    worker.on('error', (error) => this.emit('line', `worker ${slot.number}: ${error.message}`));
    if (this.stopping) this.#retire(member);
  }

  #relay({ slot }, name, stream) {
    if (stream == null) return;
    const lines = new Lines((whole) => {
      const flow = { held: false, hold: () => (flow.held = true), go: () => stream.resume() };
      this.emit('output', slot.number, name, whole, flow);
      if (flow.held) stream.pause();
    });
    stream.on('data', (chunk) => lines.write(chunk));
    stream.once('end', () => lines.end());
    stream.on('error', () => {}); // its end is told by 'close'
  }

  #step(worker, state) {
    const member = this.members.get(worker);
    if (member !== undefined) member.state = state;
  }

  #listening(worker, address) {
    const member = this.members.get(worker);
    if (member === undefined) return;
    const first = member.addresses.size === 0;
    member.state = 'listening';
    member.addresses.add(addressText(address));
    if (!this.wasReady) {
      this.wasReady = true;
      this.cluster.setupPrimary({ respawn: this.#respawn() });
    }
    if (first) this.emit('line', `worker ${member.slot.number} (pid ${worker.process.pid}) listens on ${addressText(address)}`);
    if (this.inPlace) this.emit('ready');
  }

  // A worker may say anything.
  #gauges(member, message) {
    const take = (name) => (Number.isFinite(message[name]) && message[name] >= 0 ? message[name] : 0);
    const now = performance.now();
    const gauges = { requests: take('requests'), connections: take('connections'), lag: take('lag'), memory: take('memory') };
    if (member.gauges !== undefined) {
      member.rate = Math.max(0, (gauges.requests - member.gauges.requests) / (now - member.gaugesAt) * 1000);
    }
    member.gauges = gauges;
    member.gaugesAt = now;
  }

  #exited(worker, code, signal) {
    const member = this.members.get(worker);
    if (member === undefined) return;
    member.state = 'ended';
    member.slot.members = member.slot.members.filter((other) => other !== member);
    const { slot } = member;
    const leaving = this.#isLeaving(member);
    const failed = !leaving && (code !== 0 || signal !== null);
    if (failed) this.failure = signal ?? `exit code ${code}`;
    if (!leaving && slot.members.length === 0) slot.crashed = true;
    this.emit('line', `worker ${slot.number} (pid ${worker.process.pid}) ${leaving ? 'has gone' : 'ended'}: ${signal ?? `exit code ${code}`}`);
    // It left the cluster by itself, as if asked to; nobody else takes that for an end.
    if (!leaving && worker.exitedAfterDisconnect && this.settings.maxRestarts > 0) setTimeout(() => this.#refill([slot]), DRAINED);
    member.lastWords = setTimeout(() => this.#closed(member), LAST_WORDS);
  }

  // The worker has ended, and all it wrote has been read.
  #closed(member) {
    if (!member.open) return;
    member.open = false;
    clearTimeout(member.lastWords);
    this.members.delete(member.worker);
    const { process: child } = member.worker;
    for (const stream of [child.stdout, child.stderr]) stream?.destroy();
    if (this.members.size > 0 || this.reloading !== null || !this.gaveUp && !this.stopping && this.settings.maxRestarts > 0) return;
    if (this.settings.watch !== undefined && !this.stopping) this.emit('line', 'waiting for a file to change');
    else this.#end();
  }

  // Whether it goes because we want it to: it is stopped, or exchanged.
  #isLeaving(member) {
    return member.leaving || this.reloading !== null && member.generation < this.generation && member.worker.exitedAfterDisconnect === true;
  }

  // Starts workers in places where none is about to be started.
  #refill(slots) {
    if (this.stopping || this.gaveUp) return;
    for (const { members } of slots) if (members.length === 0) this.cluster.fork();
  }

  // ---- exchange and end ----

  // Resolves when every worker has been exchanged for a new one. One that is asked for while another is under way comes
  // after it, once.
  reload(why) {
    if (this.stopping) return Promise.reject(new Error('it is being stopped'));
    if (this.reloading !== null) {
      this.next ??= this.reloading.then(() => {}, () => {}).then(() => {
        this.next = null;
        return this.reload(why);
      });
      return this.next;
    }
    this.reloading = this.#reload(why).finally(() => {
      this.reloading = null;
    });
    return this.reloading;
  }

  async #reload(why) {
    const begin = Date.now();
    const { reloadTimeout } = this.settings;
    const down = this.slots.filter(({ members }) => members.length === 0); // or about to be started, which a reload undoes
    this.emit('line', `reloading: ${why}`);
    try {
      this.#readVariables();
      this.generation++;
      this.gaveUp = false;
      await this.cluster.reload({ timeout: reloadTimeout, drain: Math.min(reloadTimeout, DRAIN) });
      this.reloads++;
      this.emit('line', `reloaded in ${Date.now() - begin} ms`);
    } catch (error) {
      this.emit('line', `not reloaded: ${error.message}`);
      throw error;
    } finally {
      setImmediate(() => this.#refill(down)); // once this is over
    }
  }

  // It closes its servers, serves what it has begun, and ends; or is killed when that takes too long.
  #retire(member) {
    if (member.leaving || member.state === 'ended') return;
    member.leaving = true;
    const { worker } = member;
    const { process: child } = worker;
    const timer = setTimeout(() => {
      this.emit('line', `worker ${member.slot.number} (pid ${child.pid}) is killed: it has not ended in time`);
      this.#kill(member);
    }, this.settings.stopTimeout);
    child.once('exit', () => clearTimeout(timer));
    if (worker.isConnected() && !worker.exitedAfterDisconnect) worker.disconnect();
  }

  stop(why) {
    if (this.stopping) {
      this.kill();
      return;
    }
    this.stopping = true;
    const living = [...this.members.values()].filter(({ state }) => state !== 'ended');
    this.emit('line', `stopping ${plural(living.length, 'worker')}: ${why}`);
    for (const member of living) this.#retire(member);
    this.cluster.disconnect(); // and none is started again
    if (this.members.size === 0) this.#end();
  }

  kill() {
    for (const member of this.members.values()) this.#kill(member);
  }

  #kill(member) {
    if (member.state === 'ended' || member.killed) return;
    member.killed = true;
    this.killed++;
    member.worker.process.kill('SIGKILL');
  }

  #end() {
    if (this.ended) return;
    this.ended = true;
    if (this.outcome !== undefined) this.emit('end', ...this.outcome);
    else if (this.stopping && this.killed > 0) this.emit('end', EXIT.killed, `stopped; ${plural(this.killed, 'worker')} had to be killed`);
    else if (this.stopping) this.emit('end', EXIT.stopped, 'stopped');
    else if (this.failure !== undefined) this.emit('end', EXIT.gaveUp, `given up: every worker has ended (${this.failure})`);
    else this.emit('end', EXIT.stopped, 'every worker has ended by itself');
  }

  // ---- what is to be seen ----

  #member(member) {
    const { worker, gauges, gaugesAt } = member;
    const silence = gauges === undefined ? 0 : performance.now() - gaugesAt;
    const blocked = silence > SILENT && member.state !== 'ended';
    const state = (member.leaving || worker.exitedAfterDisconnect) && member.state !== 'ended' ? 'leaving' : blocked ? 'blocked' : member.state;
    return {
      place: member.slot.number,
      id: worker.id,
      pid: worker.process.pid,
      state,
      connections: gauges?.connections,
      requests: gauges?.requests,
      requestsPerSecond: blocked ? 0 : member.rate,
      lag: blocked ? Math.round(silence) : gauges?.lag,
      memory: gauges?.memory,
      restarts: member.slot.restarts,
      uptime: Date.now() - member.since,
    };
  }

  status() {
    const { settings } = this;
    const living = this.slots.flatMap(({ members }) => members);
    return {
      name: settings.name,
      pid: process.pid,
      state: this.stopping ? 'stopping' : this.reloading !== null ? 'reloading' : 'running',
      script: settings.script,
      instances: settings.instances,
      daemon: settings.daemon === true,
      log: settings.log,
      uptime: Date.now() - this.begin,
      restarts: this.restarts,
      reloads: this.reloads,
      addresses: [...new Set(living.flatMap(({ addresses }) => [...addresses]))],
      workers: this.slots.flatMap(({ number, members, restarts }) => (members.length > 0
        ? members.map((member) => this.#member(member))
        : [{ place: number, state: 'down', restarts }])),
    };
  }
}

module.exports = { Supervisor, EXIT };
