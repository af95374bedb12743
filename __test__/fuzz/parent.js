'use strict';
// The live parent of the whole-channel fuzz: starts hostile children one after the other, talks to each
// as an honest parent would, and proves after each that an honest child is still served and that
// nothing was left open. Prints one JSON line per child; any failure ends it with exit code 1.
//
// Arguments: seed, first child, number of children (0: until the time is over), milliseconds.

const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const rsipc = require('../../index.js');
const { corpus } = require('./corpus.js');
const { opened, settles, within, resident, Witness } = require('../hostile/ledger.js');
const { random } = require('../kill/traffic.js');

const [seed, first, many, time] = process.argv.slice(2).map(Number);
const PYTHON = process.env.PYTHON ?? 'python3';
const TYPES = ['net.Socket', 'net.Server', 'net.Native', 'dgram.Socket', 'dgram.Native', 'net.BoundSocket', 'fd'];
const SENDS = 600;

function say(fields) {
  fs.writeSync(1, `${JSON.stringify(fields)}\n`);
}

function fail(error) {
  say({ failure: error.stack ?? String(error) });
  process.exit(1);
}

process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);
process.on('warning', () => {}); // most of what children do is a warning

function release(handle) {
  if (typeof handle.on === 'function') handle.on('error', () => {});
  if (typeof handle.destroy === 'function') handle.destroy();
  else handle.close();
}

// What an honest parent does meanwhile.
function talk(child, server, next) {
  const quiet = () => {};
  const timer = setInterval(() => {
    if (!child.connected || child.channel.queued.messages > 100) return;
    const choice = next();
    if (choice < 0.3) child.send({ hello: 'you' }, quiet);
    else if (choice < 0.4) child.send('x'.repeat(100_000), quiet);
    else if (choice < 0.6) child.send('server', server, quiet);
    else if (choice < 0.8) child.request('question', { timeout: 200 }).catch(quiet);
    else if (choice < 0.9) child.send('receipt', undefined, { receipt: true, timeout: 200 }).catch(quiet);
    else server.getConnections(quiet);
  }, 2);
  return () => clearInterval(timer);
}

async function one(number, files, server) {
  const next = random(seed + 2_654_435_761 * number);
  const serialization = next() < 0.5 ? 'json' : 'advanced';
  const policy = next();
  const accept = next();
  const listens = next() < 0.85;
  const options = {
    serialization,
    onProtocolError: policy < 0.8 ? 'drop' : policy < 0.95 ? 'disconnect' : 'kill',
    acceptHandles: accept < 0.4 ? TYPES : accept < 0.5 ? [] : undefined,
    frameTimeout: 300,
    handleTimeout: 100,
    maxMessageSize: 1024 * 1024,
    maxEarlyBytes: 1024 * 1024,
  };
  // A child may hand over its own end of the channel, which then ends only when this process lets go of
  // it. One that waits for the rest of a frame, with the policy to drop, or for a listener, never does.
  const self = listens && options.onProtocolError !== 'drop' ? 'yes' : 'no';
  const args = ['-I', '-S', '-B', path.join(__dirname, 'mutate.py'), String(Math.floor(next() * 2 ** 31)), String(SENDS), files[serialization], self];
  const child = rsipc.spawn(PYTHON, args, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'], ...options });
  const seen = { messages: 0, handles: 0, errors: 0, problems: 0 };
  let printed = '';
  child.stdout.setEncoding('utf8').on('data', (text) => { printed += text; });
  const onMessage = (message, handle) => {
    seen.messages++;
    if (handle === undefined) return;
    seen.handles++;
    release(handle);
  };
  if (listens) child.on('message', onMessage);
  child.on('protocolError', (error) => {
    seen.errors++;
    if (!/^ERR_RSIPC_[A-Z_]+$/.test(error.code)) fail(new Error(`a protocol error without a code: ${error.stack}`));
  });
  child.on('handleProblem', () => seen.problems++);
  child.on('error', () => {});
  child.onRequest((body) => body);
  const stop = talk(child, server, next);
  const closed = new Promise((resolve) => child.once('close', (...how) => resolve(how)));
  // A child that nobody reads waits for ever; ten seconds of mischief are enough.
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
  const [code, signal] = await within(closed, `child ${number} to close`, 30_000);
  clearTimeout(timer);
  stop();
  if (!listens) {
    child.on('message', onMessage); // what was kept is ours to close
    await new Promise(setImmediate);
    await new Promise(setImmediate);
  }
  const counts = printed === '' ? {} : JSON.parse(printed);
  return { child: number, serialization, policy: options.onProtocolError, code, signal, ...seen, ...counts };
}

async function main() {
  const files = {};
  for (const serialization of ['json', 'advanced']) {
    files[serialization] = path.join(os.tmpdir(), `rsipc-corpus-${process.pid}-${serialization}`);
    fs.writeFileSync(files[serialization], corpus(serialization).map((frame) => frame.toString('base64')).join('\n'));
  }
  process.on('exit', () => {
    for (const file of Object.values(files)) fs.rmSync(file, { force: true });
  });
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.on('connection', (socket) => socket.destroy());
  const witness = new Witness();
  await witness.check();

  let before = null;
  const deadline = Date.now() + time;
  for (let number = first; many > 0 ? number < first + many : Date.now() < deadline; number++) {
    say({ begins: number });
    const result = await one(number, files, server);
    await witness.check();
    // The first children make Node and V8 settle in.
    if (before === null) before = await opened();
    await settles(before);
    say({ ...result, descriptorsOpen: before.size, rss: resident() });
  }
  const last = new Witness();
  await last.check();
  await last.end();
  await witness.end();
  server.close();
  say({ done: true });
  process.exit(0);
}

main().catch(fail);
