'use strict';
// scheduling: 'reuseport': each worker accepts from a socket of its own, over which the system spreads connections (Linux;
// elsewhere it is 'round-robin').

const assert = require('node:assert');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { test, afterEach } = require('node:test');
const { cluster, workers, end, get, told } = require('../helpers/cluster.js');
const { leavesNothing, temporary, stopped } = require('../helpers/leavings.js');
const { fixture } = require('../helpers/modules.js');
const { happened, until } = require('../helpers/wait.js');

leavesNothing();
afterEach(end);

const skip = process.platform !== 'linux';
const start = (name, count, settings) => workers(name, count, { scheduling: 'reuseport', ...settings });
const many = (count, ask) => Promise.all(Array.from({ length: count }, ask));

test('connections are spread over the workers evenly', { skip }, async () => {
  const { port } = await start('told-how', 2);
  const answers = [];
  for (let i = 0; i < 20; i++) answers.push(...await many(50, () => told(port)));
  const shares = Object.values(cluster.workers).map(({ id }) => answers.filter((answer) => answer.startsWith(`${id}:`)).length);
  assert.strictEqual(shares[0] + shares[1], 1000);
  // A fair coin is this uneven once in a thousand million times.
  assert.ok(Math.abs(shares[0] - 500) < 100, `${shares}`);
});

test('a paused worker gets nothing new until it is resumed, and nobody is refused when all are', { skip }, async () => {
  const { workers: [first, second], port } = await start('say-id', 2);
  first.pause();
  assert.deepStrictEqual(new Set(await many(40, () => get(port))), new Set([`${second.id}`]));
  second.pause();
  const waiting = many(5, () => get(port));
  first.resume();
  await waiting;
  second.resume();
  await until(async () => new Set(await many(20, () => get(port))).size === 2, 'both workers');
});

test('what a stopped or killed worker left in its backlog goes to others', { skip }, async () => {
  const { workers: [first, second], port } = await start('say-id', 2);
  first.process.kill('SIGSTOP');
  await stopped(first.process.pid);
  assert.deepStrictEqual(new Set(await many(40, () => get(port))), new Set([`${second.id}`]));
  second.process.kill('SIGSTOP');
  await stopped(second.process.pid);
  const answers = many(40, () => get(port));
  // Asks for the same address as they did.
  await happened(cluster.fork(), 'listening');
  first.process.kill('SIGKILL');
  second.process.kill('SIGKILL');
  assert.strictEqual((await answers).length, 40);
});

// Connections that wait to be accepted at a port.
function backlog(port) {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const lines = fs.readFileSync('/proc/net/tcp', 'latin1').split('\n').filter((text) => text.includes(`:${hex} 00000000:0000 0A`));
  return lines.reduce((sum, line) => sum + Number.parseInt(line.trim().split(/\s+/)[4].split(':')[1], 16), 0);
}

test('what none of the workers accepted goes to them when they accept again', { skip }, async () => {
  const { workers: both, port } = await start('told-how', 2);
  for (const { process: child } of both) child.kill('SIGSTOP');
  for (const { process: child } of both) await stopped(child.pid);
  const answers = many(8, () => told(port));
  await until(() => backlog(port) === 8, 'the connections');
  await until(() => backlog(port) === 0, 'the primary to have them');
  for (const { process: child } of both) child.kill('SIGCONT');
  for (const answer of await answers) assert.match(answer, /^\d+:\d+$/);
});

test('no request fails while workers are replaced', { skip }, async () => {
  const { port } = await start('say-id', 2, { env: { LISTEN_PORT: '0' } });
  let over = false;
  let asked = 0;
  const asking = many(4, async () => {
    while (!over) {
      await get(port);
      asked++;
    }
  });
  for (let i = 0; i < 3; i++) await cluster.reload({ drain: 100 });
  over = true;
  await asking;
  assert.ok(asked > 0);
});

test('a port that another program has is an error of the worker, as ever', { skip }, async () => {
  const server = net.createServer().listen(0, '127.0.0.1');
  await happened(server, 'listening');
  cluster.settings = {};
  cluster.setupPrimary({ exec: fixture('cluster/say-id'), scheduling: 'reuseport', silent: true, args: [], execArgv: [] });
  const worker = cluster.fork({ LISTEN_PORT: `${server.address().port}` });
  let said = '';
  worker.process.stderr.on('data', (text) => { said += text; });
  await happened(worker, 'exit');
  assert.match(said, /EADDRINUSE/);
  server.close();
});

test('a path has no such sockets, and is served all the same', { skip }, async () => {
  const socket = path.join(temporary(), 'socket');
  await start('say-id', 2, { env: { LISTEN_PATH: socket } });
  assert.strictEqual(new Set(await many(10, () => get(socket))).size, 2);
});

test('clients cannot stick to workers that accept for themselves', () => {
  assert.throws(() => cluster.setupPrimary({ scheduling: 'reuseport', sticky: { by: 'ip' } }), { code: 'ERR_INVALID_ARG_VALUE' });
  cluster.settings = {};
});
