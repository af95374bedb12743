'use strict';
// Workers that are threads: the same API, events and hand-over as with processes.

const assert = require('node:assert');
const dgram = require('node:dgram');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { test, afterEach } = require('node:test');
const { cluster, workers, end, get, told } = require('../helpers/cluster.js');
const { fixture } = require('../helpers/modules.js');
const { leavesNothing, temporary } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');

leavesNothing();
afterEach(async () => {
  await end();
  cluster.settings = {};
});

const threads = (name, count, settings) => workers(name, count, { threads: true, ...settings });

test('a thread is a worker of Node\'s own cluster, and sees nothing of how it has become one', async () => {
  const { workers: [worker] } = await threads('in-thread.mjs', 1, { args: ['a', 'b'], env: { GIVEN: 'yes' } });
  worker.send('see');
  const [seen] = await happened(worker, 'message');
  assert.deepStrictEqual(seen, {
    isMainThread: false, workerData: null, isWorker: true, same: true, id: worker.id, argv: ['a', 'b'], execArgv: [], variables: [],
    given: 'yes', connected: true,
  });
  assert.strictEqual(worker.process.pid, process.pid);
});

test('threads get connections in turn, and none is lost', async () => {
  const { port, workers: [first, second] } = await threads('say-id', 2);
  const answers = [];
  for (let count = 0; count < 4; count++) answers.push(await get(port));
  assert.deepStrictEqual(answers.sort(), [first.id, first.id, second.id, second.id].map(String).sort());
  const many = await Promise.all(Array.from({ length: 200 }, () => get(port)));
  assert.deepStrictEqual([...new Set(many)].sort(), [first.id, second.id].map(String).sort());
});

test('a thread that is blocked or paused gets nothing: others answer what it was given', async () => {
  const { port, workers: [first, second] } = await threads('say-id', 2);
  first.pause();
  assert.deepStrictEqual([await get(port), await get(port)], [`${second.id}`, `${second.id}`]);
  first.resume();
  second.pause();
  assert.strictEqual(await get(port, '/block/1500'), `${first.id}`);
  second.resume();
  const many = await Promise.all(Array.from({ length: 20 }, () => get(port)));
  assert.ok(many.every((id) => id === `${second.id}`), `${many}`);
});

test('`reload` and `broadcast` do with threads what they do with processes', async () => {
  const file = path.join(temporary(), 'version');
  fs.writeFileSync(file, 'one');
  const { port } = await threads('versioned', 2, { env: { VERSION_FILE: file } });
  assert.match(await get(port), /^one/);
  fs.writeFileSync(file, 'two');
  const fresh = await cluster.reload();
  assert.match(await get(port), /^two/);
  assert.deepStrictEqual(await cluster.broadcast('x'), fresh.map((worker) => ({ worker, error: null })));
  fs.writeFileSync(file, 'crash');
  await assert.rejects(cluster.reload(), { code: 'ERR_RSIPC_WORKER_NOT_READY', message: /code 7/ });
  assert.match(await get(port), /^two/);
});

test('a thread that ends is told of as a process is, and started again', async () => {
  const { workers: [worker] } = await threads('in-thread.mjs', 1, { respawn: { delay: 1 } });
  const order = [];
  for (const event of ['disconnect', 'exit']) worker.once(event, (...details) => order.push([event, ...details]));
  const forked = happened(cluster, 'fork');
  worker.send('exit');
  const [next] = await forked;
  assert.deepStrictEqual(order, [['disconnect'], ['exit', 7, null]]);
  assert.ok(worker.isDead() && !worker.isConnected() && worker.exitedAfterDisconnect === false);
  const [{ port }] = await happened(next, 'listening');
  assert.strictEqual(await told(port), `${next.id}`);
});

test('a thread is ended by `kill`, and leaves by `disconnect` from either side', async () => {
  const { workers: [killed, left, asked] } = await threads('in-thread.mjs', 3);
  const ends = [killed, left, asked].map((worker) => happened(worker, 'exit'));
  killed.kill();
  left.disconnect();
  asked.send('disconnect');
  assert.deepStrictEqual(await Promise.all(ends), [[null, 'SIGTERM'], [0, null], [0, null]]);
  assert.deepStrictEqual([killed, left, asked].map((worker) => worker.exitedAfterDisconnect), [false, true, true]);
  assert.strictEqual(killed.process.kill(0), false);
});

test('an exception in a thread ends that thread alone', async () => {
  const { port, workers: [bad, good] } = await threads('in-thread.mjs', 2, { silent: true });
  const ended = happened(bad, 'exit');
  let text = '';
  bad.process.stderr.setEncoding('utf8').on('data', (piece) => { text += piece; });
  bad.send('throw');
  assert.deepStrictEqual(await ended, [1, null]);
  assert.match(text, /on purpose/);
  assert.strictEqual(await told(port), `${good.id}`);
});

test('sockets travel to threads', async () => {
  const { workers: [worker] } = await threads('in-thread.mjs', 1);
  const server = net.createServer({ pauseOnConnect: true }, (socket) => worker.send('take', socket));
  server.listen(0, '127.0.0.1');
  await happened(server, 'listening');
  assert.strictEqual(await told(server.address().port), `thread ${worker.id}`);
  server.close();
});

test('threads accept for themselves where that is wished', async () => {
  // What the first test has chosen cannot be changed in this process.
  const { spawn } = require('node:child_process');
  const child = spawn(process.execPath, [fixture('cluster/shared-threads')], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [text] = await happened(child.stdout.setEncoding('utf8'), 'data');
  assert.strictEqual(text, 'accepted\n');
  await happened(child, 'exit');
});

test('datagrams come to threads', async () => {
  const { port } = await threads('answers-datagrams', 2);
  const socket = dgram.createSocket('udp4');
  const answered = happened(socket, 'message');
  socket.send('x', port, '127.0.0.1');
  const [text] = await answered;
  assert.strictEqual(`${text}`, `${process.ppid}`);
  socket.close();
});

test('a thread that never starts leaves nothing, and says why', async () => {
  cluster.settings = {};
  cluster.setupPrimary({ exec: '/no/such/file', args: [], execArgv: [], threads: true, silent: true });
  const worker = cluster.fork();
  let text = '';
  worker.process.stderr.setEncoding('utf8').on('data', (piece) => { text += piece; });
  assert.deepStrictEqual(await happened(worker, 'exit'), [1, null]);
  await until(() => Object.keys(cluster.workers).length === 0, 'it to be gone');
  assert.match(text, /Cannot find module '\/no\/such\/file'/);
});

test('what only processes have is refused', () => {
  for (const settings of [{ cwd: '/' }, { uid: 1 }, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] }, { detached: true }, { dieWithParent: true }]) {
    cluster.settings = {};
    assert.throws(() => cluster.setupPrimary({ threads: true, ...settings }), { code: 'ERR_INVALID_ARG_VALUE' });
  }
  cluster.settings = {};
  assert.throws(() => cluster.setupPrimary({ threads: 'yes' }), { code: 'ERR_INVALID_ARG_TYPE' });
});
