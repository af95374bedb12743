'use strict';
// Workers that end when nobody expects it: all at once, or in the middle of a reload.

const assert = require('node:assert');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { test, afterEach } = require('node:test');
const { cluster, workers, end, get } = require('../helpers/cluster.js');
const { leavesNothing, temporary } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');

leavesNothing();
afterEach(end);

const RESPAWN = { delay: 1, maxDelay: 1, limit: 1_000 };
const listening = () => Object.values(cluster.workers).filter(({ state }) => state === 'listening');

// Starts workers that serve what a file says.
let file;
function versioned(count, settings) {
  file ??= path.join(temporary(), 'version');
  fs.writeFileSync(file, 'one');
  return workers('versioned', count, { env: { VERSION_FILE: file }, ...settings });
}

const refused = (port) => new Promise((resolve) => {
  const socket = net.connect(port, '127.0.0.1', () => {
    socket.destroy();
    resolve(false);
  });
  socket.on('error', (error) => resolve(error.code === 'ECONNREFUSED'));
});

test('when all workers end at once and are started again, clients wait and none is refused', async () => {
  const { workers: all, port } = await workers('say-id', 4, { respawn: { ...RESPAWN, delay: 100, maxDelay: 100 } });
  for (let round = 0; round < 3; round++) {
    for (const worker of Object.values(cluster.workers)) worker.process.kill('SIGKILL');
    const answers = [];
    for (let i = 0; i < 50; i++) answers.push(get(port));
    await until(() => listening().length === 0, 'the end of all');
    for (let i = 0; i < 50; i++) answers.push(get(port));
    const old = new Set(all.map(({ id }) => `${id}`));
    assert.ok((await Promise.all(answers)).every((id) => !old.has(id)));
    await until(() => listening().length === 4, 'all to be back');
  }
});

test('workers that share a socket leave it open for those that are started in their place', { skip: process.platform === 'win32' }, async () => {
  const { port } = await workers('say-id', 2, { scheduling: 'round-robin', respawn: { ...RESPAWN, delay: 100, maxDelay: 100 } });
  for (const worker of Object.values(cluster.workers)) worker.process.kill('SIGKILL');
  await until(() => listening().length === 0, 'the end of all');
  assert.strictEqual(await refused(port), false);
  await until(() => listening().length === 2, 'both to be back');
});

test('when workers are given up, nobody listens any more', async () => {
  const { workers: [worker], port } = await versioned(1, { respawn: { delay: 1, limit: 2 } });
  fs.writeFileSync(file, 'crash');
  const told = happened(cluster, 'crashLoop');
  worker.process.kill('SIGKILL');
  await told;
  await until(() => refused(port), 'the port to be closed');
});

test('disconnect while workers wait to be started again ends the listening', async () => {
  const { workers: [worker], port } = await workers('say-id', 1, { respawn: { delay: 60_000, maxDelay: 60_000 } });
  const gone = happened(worker, 'exit');
  worker.process.kill('SIGKILL');
  await gone;
  assert.strictEqual(await refused(port), false);
  await new Promise((resolve) => cluster.disconnect(resolve));
  await until(() => refused(port), 'the port to be closed');
  assert.deepStrictEqual(cluster.workers, {});
});

test('a reload starts those at once that wait for their time', async () => {
  const { workers: [first, second] } = await versioned(2, { respawn: { delay: 60_000, maxDelay: 60_000 } });
  const gone = happened(first, 'exit');
  first.process.kill('SIGKILL');
  await gone;
  assert.deepStrictEqual(Object.values(cluster.workers), [second]);
  await cluster.reload();
  await until(() => listening().length === 2, 'two workers');
});

test('a worker that dies while the new one starts has one successor, and its clients wait', async () => {
  const { workers: [old], port } = await versioned(1, { respawn: RESPAWN });
  let forks = 0;
  const count = () => forks++;
  cluster.on('fork', count);
  const reloaded = cluster.reload();
  old.process.kill('SIGKILL');
  await happened(old, 'exit');
  const answer = get(port);
  const [worker] = await reloaded;
  assert.strictEqual(await answer, `one ${worker.id}`);
  cluster.removeListener('fork', count);
  assert.strictEqual(forks, 1);
  assert.deepStrictEqual(Object.values(cluster.workers), [worker]);
});

test('one that dies then, and whose new one does not get ready, is started again', async () => {
  const { workers: [old], port } = await versioned(1, { respawn: RESPAWN });
  fs.writeFileSync(file, 'silent');
  const reloaded = cluster.reload({ timeout: 1_000 });
  old.process.kill('SIGKILL');
  await happened(old, 'exit');
  fs.writeFileSync(file, 'one');
  // Whichever version the new one has read, one of the two serves.
  await reloaded.catch((error) => assert.strictEqual(error.code, 'ERR_RSIPC_WORKER_NOT_READY'));
  assert.match(await get(port), /^one/);
  await until(() => listening().length === 1 && Object.keys(cluster.workers).length === 1, 'one worker');
});

test('a new worker that dies as soon as it is ready is started again', async () => {
  const { port } = await versioned(1, { respawn: RESPAWN });
  let killed = false;
  const kill = (worker) => {
    if (!killed) worker.process.kill('SIGKILL');
    killed = true;
  };
  cluster.on('listening', kill);
  await cluster.reload().catch((error) => assert.strictEqual(error.code, 'ERR_RSIPC_WORKER_NOT_READY'));
  cluster.removeListener('listening', kill);
  assert.match(await get(port), /^one/);
  await until(() => listening().length === 1 && Object.keys(cluster.workers).length === 1, 'one worker');
});

test('disconnect during a reload ends the old and the new, and the reload says so', async () => {
  await versioned(2, { respawn: RESPAWN });
  const all = new Set(Object.values(cluster.workers));
  cluster.on('fork', (worker) => all.add(worker));
  const reloaded = assert.rejects(cluster.reload(), { code: 'ERR_RSIPC_WORKER_NOT_READY' });
  const done = new Promise((resolve) => cluster.disconnect(resolve));
  await Promise.all([reloaded, done]);
  cluster.removeAllListeners('fork');
  await until(() => [...all].every((worker) => worker.isDead()), 'the end of all');
  assert.deepStrictEqual(cluster.workers, {});
});

test('a worker that is killed before the primary knows is no error of disconnect', async () => {
  const { workers: all } = await workers('say-id', 3);
  for (const worker of all) worker.process.kill('SIGKILL');
  for (const end = performance.now() + 20; performance.now() < end;); // they are gone, and nobody has read that
  await new Promise((resolve) => cluster.disconnect(resolve));
  await until(() => all.every((worker) => worker.isDead()), 'the end of all');
});
