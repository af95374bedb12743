'use strict';
// In a worker: channels to its siblings. The primary makes them, where it is rsipc's; what is said goes from process to
// process.

const nodeCluster = require('node:cluster');
const { node, rsipc, abortError } = require('../errors.js');
const { ChannelEnd } = require('../fork/channel-end.js');
const { linkOf } = require('../fork/attach.js');
const { parent } = require('../fork/parent.js');
const { unpack } = require('../fork/peer.js');
const native = require('../binding.js');
const validate = require('../validate.js');
const { release } = require('../fork/handles.js');

const TIMEOUT = 30_000;
const LONGEST_TIMEOUT = 2 ** 31 - 1;
const LOOK = 10; // ms between two attempts to make the channel ours that Node is still writing to
const WHO = 'the primary';

const asked = new Map(); // by number: what waits for an answer of the primary
const ends = new Set(); // that came this way, and are open
let tickets = 0;
let link; // to the primary, as a promise; undefined as long as nobody has asked
let listens = false; // what the primary was told

async function toPrimary() {
  for (;;) {
    if (native.Channel === undefined) throw rsipc.notAvailable('a channel between workers');
    if (!process.connected) throw rsipc.peerGone(WHO, 'The channel');
    if (linkOf(process) === undefined) parent(); // a worker that is a thread has it from the beginning
    const found = linkOf(process);
    if (found !== undefined) return begin(found);
    await new Promise((resolve) => { setTimeout(resolve, LOOK); });
  }
}

function begin(found) {
  found.peer.greet(); // no end is given to who is not known to be rsipc
  process.on('internalMessage', receive);
  // A worker that leaves goes when nothing keeps it.
  process.once('disconnect', () => {
    for (const { reject } of [...asked.values()]) reject(rsipc.peerGone(WHO, 'The channel'));
    for (const end of ends) end.close();
  });
  return found;
}

function say(message) {
  if (process.connected) process._send({ cmd: 'NODE_RSIPC_CLUSTER', ...message }, undefined, true);
}

function receive({ cmd, act, ticket, id, ids, error }, handle) {
  if (cmd !== 'NODE_RSIPC_CLUSTER' || (act !== 'answer' && act !== 'channel')) return;
  const end = handle instanceof ChannelEnd ? handle : undefined;
  if (end === undefined) release(handle);
  else keep(end);
  if (act === 'channel') {
    if (end !== undefined && !nodeCluster.emit('channel', end, id)) end.close();
    return;
  }
  const question = asked.get(ticket);
  if (question === undefined) end?.close(); // it was given up meanwhile
  else if (error !== undefined) question.reject(unpack(error, WHO));
  else if (ids !== undefined) question.resolve(ids);
  else if (end !== undefined) question.resolve(end);
  else question.reject(rsipc.handleRejected('this worker', 'the channel was lost on its way'));
}

// Until it is closed, or somebody else's. `configure` gives an end another link.
function keep(end) {
  ends.add(end);
  const own = linkOf(end);
  own.onShut = () => queueMicrotask(() => {
    if (linkOf(end) === own) ends.delete(end);
    else keep(end);
  });
}

// Asks the primary, and resolves with its answer.
async function ask(message, what, { timeout = TIMEOUT, signal } = {}) {
  validate.number(timeout, 'options.timeout', 0, LONGEST_TIMEOUT);
  validate.signal(signal, 'options.signal');
  const ticket = ++tickets;
  let cleanUp;
  try {
    return await new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(abortError(signal));
        return;
      }
      const cancel = (error) => {
        asked.delete(ticket); // now: the question may be about to be sent
        reject(error);
        say({ act: 'cancel', ticket });
      };
      const onAbort = () => cancel(abortError(signal));
      const timer = setTimeout(() => cancel(rsipc.timeout(what, timeout)), timeout);
      signal?.addEventListener('abort', onAbort, { once: true });
      cleanUp = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      asked.set(ticket, { resolve, reject });
      link ??= toPrimary();
      link.then(() => asked.has(ticket) && say({ ...message, ticket }), reject);
    });
  } finally {
    asked.delete(ticket);
    cleanUp?.();
  }
}

// A channel to another worker, which gets its end with the event 'channel'. Waits until it listens for that.
async function connect(id, options = {}) {
  validate.integer(id, 'id', 1);
  validate.object(options, 'options');
  const { serialization = 'json' } = options;
  validate.oneOf(serialization, 'options.serialization', ['json', 'advanced']);
  if (id === nodeCluster.worker.id) throw node.invalidValue('id', id, 'is this worker itself');
  return ask({ act: 'connect', to: id, serialization }, `worker ${id}`, options);
}

// The numbers of the other workers.
async function siblings(options = {}) {
  validate.object(options, 'options');
  return ask({ act: 'siblings' }, WHO, options);
}

// Called when a listener for 'channel' may have come or gone: in the next tick it has, and several may have.
function look() {
  process.nextTick(() => {
    if (nodeCluster.listenerCount('channel') > 0 === listens) return;
    listens = !listens;
    const on = listens;
    link ??= toPrimary();
    link.then(() => say({ act: 'listens', on }), () => {});
  });
}

module.exports = { connect, siblings, look };
