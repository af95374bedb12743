'use strict';
// Preloaded into a child that `fork` starts: the child ends with its parent, if it was forked with `dieWithParent`, and
// its channel becomes ours when the parent asks, though its program has never heard of rsipc.
//
// It runs before every program, and in each of its worker threads, so it loads nothing that is not needed right now,
// and leaves what a program can see of its process as it would be without it.

const { execArgv } = process;
const own = execArgv.indexOf(__filename);
if (own > 0) execArgv.splice(own - 1, 2); // what the program's own children and threads get
delete require.cache[__filename];

const orders = process.env.RSIPC_DIE_WITH;
if (orders !== undefined) {
  delete process.env.RSIPC_DIE_WITH;
  dieWith(Number.parseInt(orders, 10));
}

function dieWith(parent) {
  if (!(parent > 0) || !require('node:worker_threads').isMainThread) return;
  const native = require('../binding.js');
  if (native.dieWith === undefined) return; // and a warning has said why
  try {
    native.dieWith(parent);
  } catch {
    // The parent is gone already.
    process.kill(process.pid, 'SIGKILL');
  }
}

// What Node does with messages that are no user's. Ours stands in front of it in its very place, and is taken for it by
// whoever asks `process` for its listeners. Worker threads and processes without a channel have none.
const nodes = orders?.endsWith(' only') ? undefined : [process._events?.internalMessage].flat()[0];
let asked = false;

function onInternalMessage(message) {
  if (message.cmd === 'NODE_RSIPC' && message.act === 'hello' && !asked) {
    asked = true;
    takeOver(message);
  }
  return Reflect.apply(nodes, this, arguments);
}

function takeOver(hello) {
  try {
    require('../native.js');
  } catch {
    return; // the addon cannot be loaded here, and a program that never asked for it is not to hear of that
  }
  require('./late-takeover.js').takeOver(hello);
}

function exchange(present, next) {
  const listeners = process._events?.internalMessage;
  if (listeners === present) process._events.internalMessage = next;
  else if (Array.isArray(listeners) && listeners.includes(present)) listeners[listeners.indexOf(present)] = next;
}

if (typeof nodes === 'function') {
  onInternalMessage.listener = nodes;
  exchange(nodes, onInternalMessage);
  // Says to an rsipc in this process that the parent is one too; it calls this when the channel is its own.
  Object.defineProperty(process, Symbol.for('rsipc.preload'), {
    value: () => exchange(onInternalMessage, nodes),
    configurable: true,
  });
}
