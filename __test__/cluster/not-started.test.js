'use strict';
// Workers that cannot be started: they have an end as others do, and are tried again where that is wanted.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { test, afterEach } = require('node:test');
const { Primary } = require('../../lib/binding.js');
const { cluster, workers, end, get } = require('../helpers/cluster.js');
const { leavesNothing, temporary } = require('../helpers/leavings.js');
const { fixture } = require('../helpers/modules.js');
const { happened, until } = require('../helpers/wait.js');

leavesNothing();
afterEach(end);

const skip = Primary === undefined;

function setup(settings) {
  cluster.settings = {};
  cluster.setupPrimary({ exec: fixture('cluster/say-id'), args: [], execArgv: [], ...settings });
}

test('a worker that could not be started is told as one that has exited, and is none any more', { skip }, async () => {
  setup({ cwd: path.join(temporary(), 'missing') });
  const worker = cluster.fork();
  const [error] = await happened(worker, 'error');
  assert.strictEqual(error.code, 'ENOENT');
  const [exited, code] = await happened(cluster, 'exit');
  assert.strictEqual(exited, worker);
  assert.ok(code < 0);
  assert.ok(worker.isDead());
  await until(() => Object.keys(cluster.workers).length === 0, 'it is none of the workers');
});

test('it is tried again until it starts, and at last no more', { skip }, async () => {
  const place = path.join(temporary(), 'later');
  setup({ cwd: place, respawn: { delay: 5, maxDelay: 5, limit: 1000 } });
  cluster.fork().on('error', () => {});
  for (let ends = 0; ends < 3; ends++) await happened(cluster, 'exit');
  fs.mkdirSync(place);
  const [, { port }] = await happened(cluster, 'listening');
  assert.match(await get(port), /^\d+$/);
  cluster.settings = {};
  await end();

  setup({ cwd: path.join(place, 'never'), respawn: { delay: 0, maxDelay: 0, limit: 3 } });
  cluster.fork().on('error', () => {});
  const [error] = await happened(cluster, 'crashLoop');
  assert.strictEqual(error.code, 'ERR_RSIPC_CRASH_LOOP');
});

test('a reload whose worker cannot be started says so, and the old one stays', { skip }, async () => {
  const { workers: [worker], port } = await workers('say-id', 1);
  cluster.settings = { ...cluster.settings, cwd: path.join(temporary(), 'missing') };
  await assert.rejects(cluster.reload(), { code: 'ERR_RSIPC_WORKER_NOT_READY' });
  assert.strictEqual(await get(port), `${worker.id}`);
});

test('settings that cannot be any more end in a crash loop, not in an exception of the primary', { skip }, async () => {
  const { workers: [worker] } = await workers('say-id', 1, { respawn: { delay: 0, maxDelay: 0, limit: 3 } });
  const warned = happened(process, 'warning');
  cluster.settings = { ...cluster.settings, serialization: 'none' };
  worker.process.kill('SIGKILL');
  const [error] = await happened(cluster, 'crashLoop');
  assert.strictEqual(error.code, 'ERR_RSIPC_CRASH_LOOP');
  assert.strictEqual((await warned)[0].code, 'ERR_INVALID_ARG_VALUE');
});

test('a worker that gets no socket of its own leaves the others theirs, which close with them', { skip: process.platform !== 'linux' }, async (t) => {
  const { workers: [first], port } = await workers('listens', 1, { scheduling: 'reuseport', env: { LISTEN: '{"port":0,"host":"127.0.0.1"}' } });
  const { socketFor } = Primary.prototype;
  t.after(() => { Primary.prototype.socketFor = socketFor; });
  Primary.prototype.socketFor = () => -24;
  const second = cluster.fork({ LISTEN: '{"port":0,"host":"127.0.0.1"}' });
  assert.deepStrictEqual((await happened(second, 'message'))[0], { error: 'EMFILE' });
  Primary.prototype.socketFor = socketFor;
  assert.strictEqual(await get(port), `${first.id}`);
  first.process.kill('SIGKILL');
  await happened(cluster, 'exit');
  await assert.rejects(get(port), { code: 'ECONNREFUSED' });
});

test('what a program answers that is no worker is as no answer', { skip }, async () => {
  const answers = [{ id: 'x' }, 7, 'worker', null, { id: -1 }];
  const { port } = await workers('say-id', 2, { scheduling: () => answers.pop() });
  for (let asked = 0; asked < 6; asked++) assert.match(await get(port), /^\d+$/);
  assert.deepStrictEqual(answers, []);
});
