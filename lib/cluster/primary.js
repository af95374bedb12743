'use strict';
// node:cluster's API for a primary, put on an emitter.
//
// Which worker exists, what it listens on and when it is gone is known here. The connections themselves never come here:
// see crates/core/src/cluster.

const assert = require('node:assert');
const EventEmitter = require('node:events');
const os = require('node:os');
const native = require('../binding.js');
const { serializeWhole } = require('../fork/serialization.js');
const { Respawn } = require('./respawn.js');
const { SCHED_NONE, SCHED_RR, check, schedulingOf } = require('./settings.js');
const { Worker, kOf, kClaims } = require('./worker.js');

const POLICIES = { none: SCHED_NONE, rr: SCHED_RR };
const DEFAULT_POLICY = process.platform === 'win32' ? SCHED_NONE : SCHED_RR;

// Milliseconds that a function may take to choose a worker.
const BUDGET = 50;

// Milliseconds that a connection has to say whose it is, where that counts. A first packet that is lost comes after one
// second, and after three when that is lost too.
const LOOK = 5_000;

// Milliseconds that a worker may leave a connection unanswered. A client that sticks to it loses what the worker knows of
// it when it goes to another.
const STALL = 250;
const STICKY_STALL = 5_000;

// What a worker may listen on at a time, what may go with that, and how many answers may wait for it.
const MOST_LISTENERS = 1024;
const MOST_DATA = 65_536;
const MOST_UNWRITTEN = 2048;

const GONE = new Set(['EPIPE', 'ECONNRESET', 'ERR_IPC_CHANNEL_CLOSED']);
const { EINVAL } = os.constants.errno;

// What workers say to have channels between them.
const FOR_CHANNELS = new Set(['listens', 'siblings', 'connect', 'cancel']);

class Primary {
  constructor(cluster) {
    this.cluster = cluster;
    this.opened = undefined;
    this.listeners = new Map(); // by what workers ask for: the listeners there are for it, rarely more than one
    this.awaited = new Set(); // those of workers that have ended and will be started again
    this.members = new Map(); // of each worker: what is known of it here
    this.intercom = new EventEmitter();
    this.policy = undefined; // frozen by the first setupPrimary
    this.ids = 0;
    this.sequence = 0;
    this.reloading = false;
    this.ends = 0; // how often `disconnect` was called
    this.estate = null; // what this primary has from the one before, and has for the next: see succession.js
    this.respawn = new Respawn(this);
    this.channels = undefined; // between workers, once one has asked for that
  }

  // Opened with the first worker: it has a thread.
  get native() {
    return this.opened ??= native.Primary.open();
  }

  get betweenWorkers() {
    const { Channels } = require('./channels.js');
    return this.channels ??= new Channels(this);
  }

  // ---- settings ----

  setup(options) {
    const { cluster } = this;
    const settings = {
      args: process.argv.slice(2),
      exec: process.argv[1],
      execArgv: process.execArgv,
      silent: false,
      ...cluster.settings,
      ...options,
    };
    // V8 would write the profiles of all workers to one file.
    const has = (flag) => settings.execArgv.some((argument) => argument.startsWith(flag));
    if (has('--prof') && !has('--logfile=')) settings.execArgv = [...settings.execArgv, '--logfile=v8-%p.log'];
    check(settings, this.policy);
    cluster.settings = settings;
    const scheduling = schedulingOf(settings);
    const { sticky } = settings;
    // Whoever is to choose must accept.
    if (sticky !== undefined && this.policy === undefined) cluster.schedulingPolicy = SCHED_RR;
    if (this.opened !== undefined || sticky !== undefined) this.native.stick(sticky?.by, sticky?.name, sticky?.timeout ?? LOOK);
    if (scheduling !== undefined) {
      // Whether workers accept for themselves cannot be changed once they may.
      if (this.policy === undefined) cluster.schedulingPolicy = scheduling.policy;
      if (this.opened !== undefined || scheduling.least) this.native.chooseLeast(scheduling.least);
      if (scheduling.choose !== undefined) this.native.ask(settings.schedulingBudget ?? BUDGET, () => this.answerQuestions(scheduling.choose));
    }
    const stall = settings.stallTimeout ?? (sticky === undefined ? STALL : STICKY_STALL);
    if (this.opened !== undefined || stall !== STALL) this.native.setStall(stall);
    process.nextTick(() => cluster.emit('setup', settings));
    if (this.policy !== undefined) return;
    this.policy = cluster.schedulingPolicy;
    assert(this.policy === SCHED_NONE || this.policy === SCHED_RR, `Bad cluster.schedulingPolicy: ${this.policy}`);
    process.on('internalMessage', (message) => {
      if (message.cmd === 'NODE_DEBUG_ENABLED') this.debugAll();
    });
  }

  // The program's own function says which worker a connection is for.
  answerQuestions(choose) {
    for (const { ticket, remoteAddress, remotePort } of this.native.questions()) {
      let worker;
      try {
        worker = choose({ remoteAddress, remotePort }, Object.values(this.cluster.workers));
      } catch (error) {
        process.nextTick(() => { throw error; }); // the program's, and no reason to keep the others waiting
      }
      this.native.choose(ticket, worker instanceof Worker ? worker.id : 0);
    }
  }

  // A debugger has come: it wants to see the workers as well.
  debugAll() {
    if (this.cluster.settings.threads) return; // it sees threads as it is
    for (const worker of Object.values(this.cluster.workers)) {
      const debug = () => process._debugProcess(worker.process.pid);
      if (worker.state === 'online' || worker.state === 'listening') debug();
      else worker.once('online', debug);
    }
  }

  // ---- workers ----

  // `place`: of the worker that this one is to replace.
  fork(variables, place = this.freePlace()) {
    const { cluster } = this;
    cluster.setupPrimary();
    const id = ++this.ids;
    const { start } = require('./start.js');
    const report = schedulingOf(cluster.settings)?.report ?? '';
    const child = start(id, cluster.settings, variables, report, (channel) => {
      this.native.seat(id, channel);
      this.native.place(id, place);
    });
    const worker = new cluster.Worker({ id, process: child });
    Object.defineProperty(worker, kOf, { value: this });
    Object.defineProperty(worker, kClaims, { value: false, writable: true });
    this.members.set(worker, {
      variables,
      place,
      since: Date.now(),
      respawns: true,
      replaced: false, // by one that starts
      inside: false, // our file is in it
      asked: false, // it has been given the way beside its channel, or was not to be
      unwritten: 0, // answers that wait for it
      keys: new Map(), // what it listens on, and how often
    });

    // One that could not be started has no 'exit' of its own.
    child.prependListener('error', () => {
      if (child.pid === undefined) setImmediate(() => this.exited(worker, child.exitCode, null));
    });
    worker.on('message', (message, handle) => cluster.emit('message', worker, message, handle));
    child.once('exit', (code, signal) => this.exited(worker, code, signal));
    child.once('disconnect', () => this.disconnected(worker));
    child.on('internalMessage', (message) => {
      if (message.cmd === 'NODE_CLUSTER') this.receive(worker, message);
      else if (message.cmd === 'NODE_RSIPC_CLUSTER') this.receiveInside(worker, message);
    });
    process.nextTick(() => cluster.emit('fork', worker));
    cluster.workers[id] = worker;
    return worker;
  }

  // As `fork`, for one that no program has asked for. That it could not be started is told by its 'exit'.
  forkAgain(variables, place) {
    const worker = this.fork(variables, place);
    if (worker.process.pid === undefined) {
      process.nextTick(() => worker.listenerCount('error') === 0 && worker.on('error', (error) => process.emitWarning(error)));
    }
    return worker;
  }

  // The first that nobody has: one that has ended leaves its own to the next.
  freePlace() {
    const taken = new Set(Array.from(this.members.values(), ({ place }) => place));
    let place = 0;
    while (taken.has(place)) place++;
    return place;
  }

  exited(worker, code, signal) {
    if (!worker.isConnected()) {
      this.removeListeners(worker);
      this.remove(worker);
    }
    worker.exitedAfterDisconnect = !!worker.exitedAfterDisconnect;
    worker.state = 'dead';
    const { variables, since, respawns } = this.members.get(worker);
    this.members.delete(worker);
    worker.emit('exit', code, signal);
    this.cluster.emit('exit', worker, code, signal);
    if (respawns && !worker.exitedAfterDisconnect) this.respawn.exited(variables, Date.now() - since, code, signal);
  }

  disconnected(worker) {
    this.removeListeners(worker);
    this.channels?.ended(worker);
    if (worker.isDead()) this.remove(worker);
    worker.exitedAfterDisconnect = !!worker.exitedAfterDisconnect;
    worker.state = 'disconnected';
    worker.emit('disconnect');
    this.cluster.emit('disconnect', worker);
  }

  removeListeners(worker) {
    // Clients wait for the one that is started in its place.
    const member = this.members.get(worker);
    const kept = member?.replaced || member?.respawns && this.respawn.follows(worker);
    for (const [key, listeners] of this.listeners) {
      for (const listener of listeners) {
        if (!listener.remove(worker)) continue;
        if (kept) this.awaited.add(listener);
        this.closeUnused(key, listener);
      }
    }
  }

  closeUnused(key, listener) {
    if (listener.workers.size > 0 || this.awaited.has(listener)) return;
    listener.close();
    this.forget(key, listener);
  }

  closeAllUnused() {
    this.awaited.clear();
    for (const [key, listeners] of this.listeners) {
      for (const listener of listeners) this.closeUnused(key, listener);
    }
  }

  remove(worker) {
    const { workers } = this.cluster;
    delete workers[worker.id];
    this.members.get(worker)?.keys.clear();
    if (Object.keys(workers).length === 0) this.intercom.emit('disconnect');
  }

  // `worker.disconnect()`: it closes its servers, waits for its connections, and goes.
  leave(worker) {
    this.send(worker, { act: 'disconnect' });
    this.removeListeners(worker);
    this.remove(worker);
  }

  disconnectAll(callback) {
    this.ends++;
    this.respawn.reset();
    const workers = Object.values(this.cluster.workers);
    if (workers.length === 0) process.nextTick(() => this.intercom.emit('disconnect'));
    for (const worker of workers) if (worker.isConnected()) worker.disconnect();
    if (typeof callback === 'function') this.intercom.once('disconnect', callback);
  }

  // ---- messages ----

  send(worker, message, handle) {
    const { process: child } = worker;
    const member = this.members.get(worker);
    if (!child.connected || member === undefined) return;
    if (++member.unwritten > MOST_UNWRITTEN) {
      this.accuse(worker, 'it asks without reading the answers');
      return;
    }
    child.send({ cmd: 'NODE_CLUSTER', ...message, seq: this.sequence++ }, handle, (error) => {
      member.unwritten--;
      // That it is gone is told otherwise.
      if (error && child.connected && !GONE.has(error.code)) child.emit('error', error);
    });
  }

  receive(worker, message) {
    if (message.ack !== undefined) {
      if (typeof message.ack !== 'number') {
        this.accuse(worker, 'it answers something that has no number');
        return;
      }
      // Nobody here has asked: it is about a connection, in a form that only JavaScript can read.
      if (message.ack >= this.native.firstSequence) this.native.reply(worker.id, message.ack, message.accepted === true);
      return;
    }
    switch (message.act) {
      case 'online':
        this.tell(worker, 'online');
        break;
      case 'queryServer':
        this.query(worker, message);
        break;
      case 'listening': {
        const { addressType, address, port, fd } = message;
        this.tell(worker, 'listening', { addressType, address, port, fd });
        break;
      }
      case 'exitedAfterDisconnect':
        worker.exitedAfterDisconnect = true;
        this.send(worker, { ack: message.seq });
        break;
      case 'close':
        this.close(worker, message.key);
        break;
    }
  }

  // What rsipc in a worker says: the file preloaded into it, and siblings.js.
  receiveInside(worker, message) {
    const member = this.members.get(worker);
    if (member === undefined) return; // its channel has outlived it
    const { act, load, claims, key, place } = message;
    if (act === 'here') {
      member.inside = true;
      worker[kClaims] = claims === true;
      if (worker[kClaims]) this.native.claims(worker.id);
    } else if (act === 'intake') {
      // Node's worker must not get a descriptor once it disconnects.
      if (!member.asked && worker.exitedAfterDisconnect !== true && worker.isConnected()) this.openHatch(worker);
      member.asked = true;
    } else if (act === 'direct') {
      const listener = [...this.listeners.get(key) ?? []].findLast((candidate) => candidate.has(worker));
      if (listener?.number >= 0 && typeof place === 'number' && place >= 0 && place < 2 ** 32) this.native.direct(listener.number, worker.id, place);
    } else if (act === 'load' && typeof load === 'number' && load >= 0 && load < 2 ** 32) this.native.report(worker.id, load);
    else if (act === 'drained') worker.emit('drained');
    else if (FOR_CHANNELS.has(act)) this.betweenWorkers.receive(worker, message);
  }

  // A way for connections beside the worker's channel.
  openHatch(worker) {
    const message = { cmd: 'NODE_HANDLE', type: 'net.Native', msg: { cmd: 'NODE_RSIPC_CLUSTER', act: 'intake' } };
    this.native.openHatch(worker.id, Buffer.from(JSON.stringify(message)), serializeWhole(message));
  }

  // Says something to that file; false where it is not.
  tellInside(worker, act) {
    if (!this.members.get(worker)?.inside || !worker.isConnected()) return false;
    worker.process._send({ cmd: 'NODE_RSIPC_CLUSTER', act }, undefined, true);
    return true;
  }

  // ---- for reloads ----

  addressesOf(worker) {
    return [...this.members.get(worker)?.keys.values() ?? []].reduce((sum, times) => sum + times, 0);
  }

  variablesOf(worker) {
    return this.members.get(worker)?.variables;
  }

  placeOf(worker) {
    return this.members.get(worker)?.place;
  }

  // Whether another one is to be started when this one ends by itself.
  setRespawning(worker, on) {
    const member = this.members.get(worker);
    if (member !== undefined) member.respawns = on;
  }

  // Whether another one starts in its place: if it ends meanwhile, its addresses wait for that one.
  setReplaced(worker, on) {
    const member = this.members.get(worker);
    if (member !== undefined) Object.assign(member, { replaced: on, respawns: !on });
  }

  // A step in a worker's life: its state, then its own listeners, then the cluster's.
  tell(worker, step, ...details) {
    worker.state = step;
    worker.emit(step, ...details);
    this.cluster.emit(step, worker, ...details);
  }

  query(worker, message) {
    // One that is about to go listens on nothing new.
    const keys = this.members.get(worker)?.keys;
    if (worker.exitedAfterDisconnect || keys === undefined) return;
    if (this.estate?.isUnknown) {
      this.estate.known.then(() => this.query(worker, message));
      return;
    }
    if (keys.size >= MOST_LISTENERS) {
      this.accuse(worker, `it listens on ${MOST_LISTENERS} addresses and asks for more`);
      return;
    }
    const { address, port, addressType, fd, index } = message;
    const { listenerFor, isSound } = require('./listeners.js');
    if (!isSound(message)) {
      this.send(worker, { errno: -EINVAL, key: null, ack: message.seq, data: null });
      return;
    }
    if (JSON.stringify(message.data ?? null).length > MOST_DATA) {
      this.accuse(worker, `what goes with an address is longer than ${MOST_DATA} characters`);
      return;
    }
    // Which of several servers of a worker it is tells ports apart that are still to be chosen, as in Node 22.
    const key = [address, port, addressType, fd, ...(port === 0 ? [index] : [])].join(':');
    const listeners = this.listeners.get(key) ?? new Set();
    // A worker that listens there already needs another one, which the system may allow: it does for datagrams.
    let listener = [...listeners].find((candidate) => !candidate.has(worker));
    if (listener === undefined) {
      const estate = this.estate?.for(key) ?? {};
      estate.heirloom ??= require('./activated.js').activatedFor(message);
      const accepts = this.policy === SCHED_RR;
      const how = { accepts, apart: accepts && schedulingOf(this.cluster.settings)?.apart === true };
      listener = listenerFor(this.native, key, message, how, estate);
      listener.data = null;
      this.listeners.set(key, listeners.add(listener));
    }
    // Tickets of TLS sessions, for instance: all workers have those of the first.
    listener.data ??= message.data;
    this.awaited.delete(listener);
    listener.add(worker, (errno, fields, handle) => {
      if (errno) this.drop(key, listener); // others may have more luck
      else keys.set(key, (keys.get(key) ?? 0) + 1);
      this.send(worker, { errno, key, ack: message.seq, data: listener.data, ...fields }, handle ?? undefined);
    });
  }

  close(worker, key) {
    const keys = this.members.get(worker)?.keys;
    if (worker.exitedAfterDisconnect || keys === undefined) return; // it closes what it had
    const times = keys.get(key);
    if (times === undefined) {
      this.accuse(worker, 'it closes an address that it does not listen on');
      return;
    }
    if (times > 1) keys.set(key, times - 1);
    else keys.delete(key);
    const listener = [...this.listeners.get(key) ?? []].findLast((candidate) => candidate.has(worker));
    if (listener?.remove(worker)) this.closeUnused(key, listener);
  }

  allListeners() {
    return [...this.listeners.values()].flatMap((listeners) => [...listeners]);
  }

  // Somebody did not get it, but others may have it.
  drop(key, listener) {
    if (listener.workers.size > 0) return;
    if (listener.errno === 0) listener.close();
    this.forget(key, listener);
  }

  forget(key, listener) {
    const listeners = this.listeners.get(key);
    if (listeners?.delete(listener) && listeners.size === 0) this.listeners.delete(key);
  }

  // A worker that does what no worker does is told of, and let go.
  accuse(worker, what) {
    require('../fork/attach.js').linkOf(worker.process)?.breach('ERR_RSIPC_CLUSTER_PROTOCOL', `the cluster's protocol is broken: ${what}`);
  }
}

// Makes a primary of an emitter.
function equip(cluster) {
  const primary = new Primary(cluster);
  const defaultPolicy = POLICIES[process.env.NODE_CLUSTER_SCHED_POLICY] ?? DEFAULT_POLICY;
  return Object.assign(cluster, {
    isWorker: false,
    isMaster: true,
    isPrimary: true,
    Worker,
    workers: {},
    settings: {},
    SCHED_NONE,
    SCHED_RR,
    schedulingPolicy: defaultPolicy,
    setupPrimary: (options) => primary.setup(options),
    setupMaster: (options) => primary.setup(options),
    fork: (variables) => {
      primary.respawn.resume();
      return primary.fork(variables);
    },
    disconnect: (callback) => primary.disconnectAll(callback),
    takeOver: (name, options) => require('./succession.js').takeOver(primary, name, options),
    reload: (options) => require('./reload.js').reload(primary, options),
    broadcast: (message, options) => require('./broadcast.js').broadcast(cluster, message, options),
  });
}

module.exports = { equip };
