'use strict';
// `fork` and `spawn` with our channel.
//
// Spawning stays with node:child_process, with every check and text of the running version. Both of its
// functions end in `ChildProcess.prototype.spawn`, and that one call is where we step in: the 'ipc'
// entry of `stdio` becomes the number of our socket's other end, and the channel is put on the child.

const childProcess = require('node:child_process');
const os = require('node:os');
const native = require('../binding.js');
const { settingsFrom, nativeOptions, kChannel, kPreload } = require('./settings.js');
const { realPath, readable, preloadFor, mayBeOurs } = require('./preloading.js');

// Taken now: somebody may put our functions into node:child_process.
const { ChildProcess, fork: nodeFork, spawn: nodeSpawn } = childProcess;
// Elsewhere passing a socket needs libuv's own duplication, which an addon cannot reach.
const supported = native.Channel !== undefined;
const NOT_STARTED = new Set([-os.constants.errno.EMFILE, -os.constants.errno.ENFILE]);

// The place of the one 'ipc' in `stdio`; -1 when there is none, or more than Node allows.
function ipcIndex(stdio) {
  if (!Array.isArray(stdio)) return -1;
  const index = stdio.indexOf('ipc');
  return index !== -1 && stdio.lastIndexOf('ipc') === index ? index : -1;
}

// Starts `child` by `start`, which is `ChildProcess.prototype.spawn` as it was before us.
function spawnWithChannel(child, options, start) {
  const index = supported && options !== null && typeof options === 'object' ? ipcIndex(options.stdio) : -1;
  if (index === -1) return start.call(child, options);

  const settings = settingsFrom(options);
  const upgradable = settings.transport === 'socket' ? null : preloadFor(options);
  let channel;
  try {
    channel = native.Channel.pair(nativeOptions(settings));
    options[kChannel]?.(channel);
  } catch (error) {
    if (channel !== undefined) {
      channel.close();
      throw error;
    }
    // No descriptor is left. Node is about to find that too, and says so in its own way.
    return start.call(child, options);
  }
  let status;
  try {
    const { args } = options;
    const { file, variables } = options[kPreload] ?? {};
    const inside = file === undefined ? null : readable(file, options);
    const preload = [upgradable ?? (settings.dieWithParent ? realPath() : null), inside].filter((path) => path !== null);
    const stdio = [...options.stdio];
    stdio[index] = channel.childFd;
    options.stdio = stdio;
    addVariables(options, {
      NODE_CHANNEL_FD: index,
      NODE_CHANNEL_SERIALIZATION_MODE: settings.serialization,
      ...(settings.dieWithParent && { RSIPC_DIE_WITH: upgradable === null ? `${process.pid} only` : process.pid }),
      ...(inside !== null && variables),
    });
    // Loaded in the child before anything else, and gone from its `execArgv` when its program starts.
    if (preload.length > 0 && Array.isArray(args)) {
      options.args = [args[0], ...preload.flatMap((path) => ['--require', path]), ...args.slice(1)];
    }
    status = start.call(child, options);
    if (options.args !== args) child.spawnargs = args;
  } catch (error) {
    channel.close();
    throw error;
  }
  if (NOT_STARTED.has(status)) {
    channel.close();
    return status;
  }
  channel.closeChildEnd();
  const link = join(child, channel, settings);
  const upgrade = require('./upgrade.js');
  upgrade.watch(link, upgradable !== null ? 1 : mayBeOurs(options) ? upgrade.MOST : 0);
  return status;
}

// Adds variables to the environment that a child starts with. The caller's own of these names go, since they
// would be found first. Bun has the environment as an object behind a symbol.
function addVariables(options, variables) {
  const environment = Object.getOwnPropertySymbols(options).find((symbol) => symbol.description === 'bunEnv');
  if (environment !== undefined) {
    options[environment] = { ...options[environment], ...variables };
    return;
  }
  const pairs = options.envPairs ?? [];
  if (!Array.isArray(pairs)) return; // Node refuses it
  const others = pairs.filter((pair) => !Object.hasOwn(variables, String(pair).split('=', 1)[0]));
  options.envPairs = [...others, ...Object.entries(variables).map(([name, value]) => `${name}=${value}`)];
}

// Gives `child` its channel, and the channel its place among the child's events; answers the link.
function join(child, channel, settings) {
  // Loaded with the first channel, and while its child is starting.
  const { attach } = require('./attach.js');
  const { getOneMessage, getEachMessage } = require('./messages.js');
  const { demand } = require('./lanes.js');
  const { PARENT } = require('./roles.js');
  child._closesNeeded++;
  const link = attach(child, channel, settings, PARENT);
  link.start();
  if (settings.transport === 'ring') demand(link);
  link.onClosed = () => {
    if (++child._closesGot === child._closesNeeded) child.emit('close', child.exitCode, child.signalCode);
  };
  child.request = (body, options) => link.peer.request(body, options);
  child.onRequest = (handler) => link.peer.onRequest(handler);
  child.getOneMessage = (options) => getOneMessage(child, () => link.who(), options);
  child.getEachMessage = (options) => getEachMessage(child, link, options);
  for (const name of ['request', 'onRequest', 'getOneMessage', 'getEachMessage']) {
    Object.defineProperty(child, name, { enumerable: false });
  }

  // The kernel closes a dying child's descriptors before it reports the exit, so everything the child
  // sent is here already: it is read first, and 'exit' comes behind 'message' and 'disconnect'.
  const handle = child._handle;
  if (typeof handle?.onexit !== 'function') return link; // Bun, Deno
  const { onexit } = handle;
  handle.onexit = (exitCode, signalCode) => {
    if (exitCode < 0) {
      onexit(exitCode, signalCode);
      return;
    }
    link.readToEnd();
    link.inbox.behind(() => onexit(exitCode, signalCode));
  };
  return link;
}

const kOurs = Symbol('rsipc.spawn');

// Puts our `spawn` in front of the present one, and answers how to take it away.
function stepIn() {
  const start = ChildProcess.prototype.spawn;
  if (start[kOurs]) return () => {};
  const spawn = function spawn(options) {
    return spawnWithChannel(this, options, start);
  };
  spawn[kOurs] = true;
  ChildProcess.prototype.spawn = spawn;
  return () => {
    ChildProcess.prototype.spawn = start;
  };
}

// Runs `call` with our `spawn` in Node's place. Nothing else runs meanwhile: spawning is synchronous.
function withChannels(call) {
  const stepOut = stepIn();
  try {
    return call();
  } finally {
    stepOut();
  }
}

function fork(modulePath) { // eslint-disable-line no-unused-vars -- Node's `fork.length` is 1
  return withChannels(() => Reflect.apply(nodeFork, this, arguments));
}

function spawn(file, args, options) { // eslint-disable-line no-unused-vars -- Node's `spawn.length` is 3
  return withChannels(() => Reflect.apply(nodeSpawn, this, arguments));
}

// From here on every fork and spawn of this thread is ours, whoever calls it.
function installEverywhere() {
  stepIn();
}

module.exports = { fork, spawn, join, installEverywhere };
