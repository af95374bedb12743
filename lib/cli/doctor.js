'use strict';
// `rsipc doctor`: what rsipc finds on this machine, and what of it works. This file is both: the command, and, as a
// program, the child that it talks to.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { size, plural, table } = require('./text.js');

const OLDEST_NODE = 20;
const PATIENCE = 10_000;
const FEW_DESCRIPTORS = 1024;
const LITTLE_ROOM = 64 * 1024 * 1024; // what a container's /dev/shm often has

// How things are: `ok`, `note` (it works, and might surprise), `fail` (it does not work).
const ok = (text) => ({ state: 'ok', text });
const note = (text) => ({ state: 'note', text });
const fail = (text) => ({ state: 'fail', text });

const reasonOf = ({ message, code }) => (code === undefined ? message : `${message} (${code})`);

function read(file) {
  try {
    return fs.readFileSync(file, 'utf8').trim();
  } catch {
    return undefined; // this system has none
  }
}

// ---- what is here ----

function system() {
  const report = process.report?.getReport?.().header ?? {};
  const libc = process.platform !== 'linux' ? '' : report.glibcVersionRuntime === undefined ? ', musl' : `, glibc ${report.glibcVersionRuntime}`;
  const seccomp = /^Seccomp:\s+([12])$/m.test(read('/proc/self/status') ?? '') ? ', system calls filtered (seccomp)' : '';
  return ok(`${process.platform} ${process.arch}, ${os.type()} ${os.release()}${libc}${seccomp}`);
}

function node() {
  const { LIBUV } = require('../fork/settings.js');
  const text = `${process.release.name} ${process.version}`;
  if (Number(process.versions.node.split('.')[0]) < OLDEST_NODE) return fail(`${text}; rsipc needs ${OLDEST_NODE} or later`);
  return LIBUV ? ok(text) : note(`${text}, which has no libuv of its own: messages only, on threads`);
}

function binary(native) {
  if (native.BINDING_VERSION === undefined) return fail('not loaded, so everything is Node\'s own; the warning says why, docs/shipping.md what to do');
  const file = Object.keys(require.cache).find((name) => name.endsWith('.node'));
  const where = file === undefined ? '' : `, ${file}`;
  if (native.Channel === undefined) return note(`version ${native.VERSION}${where}; on this system fork is Node's own`);
  return ok(`version ${native.VERSION}${where}`);
}

function limits() {
  const { soft, hard } = process.report?.getReport?.().userLimits?.open_files ?? {};
  if (soft === undefined) return ok('not told by this runtime');
  const text = `${soft} open files, up to ${hard}`;
  return soft < FEW_DESCRIPTORS ? note(`${text}: each connection takes one, see ulimit -n`) : ok(text);
}

function sockets() {
  const most = Number(read('/proc/sys/net/core/wmem_max'));
  if (!(most > 0)) return undefined;
  // The kernel doubles what is asked for.
  return ok(`hold up to ${size(2 * most)}; ${read('/proc/sys/net/core/somaxconn')} connections may wait to be accepted`);
}

function variables() {
  const set = Object.keys(process.env).filter((name) => name.startsWith('RSIPC_')).map((name) => `${name}=${process.env[name]}`);
  if (set.length === 0) return undefined;
  return process.env.RSIPC_DISABLE === '1' ? note(`${set.join(' ')}: rsipc/register does nothing`) : ok(set.join(' '));
}

// ---- what works ----

// A child that loads rsipc is asked something, and the channel is to leave the socket.
function channel() {
  const { fork } = require('../fork/index.js');
  return new Promise((resolve) => {
    const child = fork(__filename, [], { execArgv: [], transport: 'ring', stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    let slow = '';
    const timer = setTimeout(() => end(fail(`the child has not answered within ${PATIENCE} ms`)), PATIENCE);
    const end = (result) => {
      clearTimeout(timer);
      child.kill('SIGKILL');
      resolve(result);
    };
    child.once('exit', (code, signal) => end(fail(`the child has ended (${signal ?? `exit code ${code}`})`)));
    child.on('error', (error) => {
      if (error.code === 'ERR_RSIPC_NO_RING') slow = reasonOf(error);
      else end(fail(reasonOf(error)));
    });
    child.on('message', () => {
      if (child.channel?.transport === 'ring') end(ok('a child answers, through shared memory'));
      else if (slow !== '') end(note(`a child answers, through the socket: ${slow}`));
      else setTimeout(() => child.connected && child.send('again'), 1);
    });
    child.send('hello');
  });
}

async function endpoint() {
  const { serve, connect } = require('../endpoint/index.js');
  const server = await serve(`rsipc:doctor.${process.pid}`);
  try {
    server.handle('echo', (body) => body);
    const client = await connect(server.address(), { timeout: PATIENCE });
    await client.request('echo', 1, { timeout: PATIENCE });
    await client.close();
  } finally {
    await server.close();
  }
  return ok('a server is reached by its name');
}

function sharedMemory() {
  const { Cell } = require('../shared/index.js');
  const name = `doctor.${process.pid}`;
  const cell = Cell.create({ name, capacity: 64 });
  try {
    cell.set(Buffer.from('here'));
    const other = Cell.open(name);
    const same = other.get().toString() === 'here';
    other.close();
    return same ? ok('an object is found by its name') : fail('an object does not hold what was put into it');
  } finally {
    cell.unlink();
    cell.close();
  }
}

// ---- the run directory ----

function runDirectory(listing) {
  const { directory } = listing;
  if (!fs.existsSync(directory)) return ok(`${directory}, made when it is needed`);
  const { bavail, bsize } = fs.statfsSync(directory);
  const text = `${directory}, ${size(bavail * bsize)} free`;
  return bavail * bsize < LITTLE_ROOM ? note(`${text}: little for shared objects; a container can be given more, or set RSIPC_RUN_DIR`) : ok(text);
}

async function leftovers({ objects, bells, servers }) {
  const killed = await require('./control.js').left();
  const found = [
    [objects.filter(({ inUse }) => !inUse).length, 'object', ' that nobody uses'],
    [bells.filter(({ alive }) => !alive).length, 'bell', ' of dead processes'],
    [servers.filter(({ alive }) => !alive).length, 'socket', ' of killed servers'],
    [killed.length, 'socket', ' of killed runs'],
  ].filter(([count]) => count > 0).map(([count, what, whose]) => plural(count, what) + whose);
  return found.length === 0 ? ok('nothing') : note(`${found.join(', ')}: rsipc clean`);
}

// ---- the command ----

async function examine() {
  const native = require('../binding.js');
  const found = [];
  const look = async (what, check) => {
    let result;
    try {
      result = await check();
    } catch (error) {
      result = fail(reasonOf(error));
    }
    if (result !== undefined) found.push({ what, ...result });
  };
  await look('system', system);
  await look('node', node);
  await look('binary', () => binary(native));
  await look('limits', limits);
  await look('sockets', sockets);
  await look('environment', variables);
  if (native.Channel === undefined) return found;
  await look('fork', channel);
  await look('servers', endpoint);
  await look('shared memory', sharedMemory);
  let listing;
  await look('run directory', () => {
    listing = native.listShared();
    return runDirectory(listing);
  });
  if (listing !== undefined) await look('left behind', () => leftovers(listing));
  return found;
}

async function main({ options: { json } }) {
  const found = await examine();
  if (json) process.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
  else process.stdout.write(`${table(found.map(({ state, what, text }) => [state, what, text]), new Set())}\n`);
  return found.some(({ state }) => state === 'fail') ? 1 : 0;
}

// The child: rsipc is loaded, and every message is answered.
function answer() {
  require(path.join(__dirname, '../../index.js'));
  process.on('message', (message) => process.send(message));
}

if (require.main === module) answer();

module.exports = {
  summary: 'says what rsipc finds on this machine, and tries whether it works',
  usage: `usage: rsipc doctor [--json]

Says what rsipc finds on this machine and tries what it needs: a child, a server, shared memory. Every line is ok, note (it
works, and might surprise) or fail. The exit code is 1 if there is a fail.

  --json   prints one JSON value instead of text
`,
  options: { json: { kind: 'flag' } },
  most: 0,
  main,
};
