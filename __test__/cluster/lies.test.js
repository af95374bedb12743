'use strict';
// A worker that breaks the cluster's protocol is told of and let go; the others serve on.

const assert = require('node:assert');
const { test, afterEach } = require('node:test');
const { cluster, workers, end, get } = require('../helpers/cluster.js');
const { leavesNothing } = require('../helpers/leavings.js');
const { fixture } = require('../helpers/modules.js');
const { happened, until } = require('../helpers/wait.js');

leavesNothing();
afterEach(end);

// A worker that will lie, and an honest one that serves the same port.
async function liar() {
  const { workers: [honest], port } = await workers('say-id', 1);
  cluster.setupPrimary({ exec: fixture('cluster/lies') });
  const worker = cluster.fork();
  await happened(worker, 'listening');
  return { worker, honest, port };
}

for (const [way, code] of [
  ['unknown number', 'ERR_RSIPC_UNEXPECTED_REPLY'],
  ['other form', 'ERR_RSIPC_UNEXPECTED_REPLY'],
  ['twice', 'ERR_RSIPC_UNEXPECTED_REPLY'],
  ['unknown key', 'ERR_RSIPC_CLUSTER_PROTOCOL'],
  ['flood', 'ERR_RSIPC_CLUSTER_PROTOCOL'],
  ['number in quotes', 'ERR_RSIPC_CLUSTER_PROTOCOL'],
  ['much beside it', 'ERR_RSIPC_CLUSTER_PROTOCOL'],
  ['deaf', 'ERR_RSIPC_CLUSTER_PROTOCOL'],
]) {
  test(`a worker that lies (${way}) is disconnected with ${code}`, async () => {
    const { worker, honest, port } = await liar();
    const error = happened(worker.process, 'protocolError');
    const gone = happened(worker, 'exit');
    worker.send(way);
    if (way === 'twice') {
      await happened(worker, 'message');
      for (let i = 0; i < 4; i++) get(port).catch(() => {});
    }
    assert.strictEqual((await error)[0].code, code);
    await gone;
    assert.strictEqual(await get(port), `${honest.id}`);
    await until(() => cluster.workers[worker.id] === undefined, 'the worker to be forgotten');
  });
}

test('fields that no worker fills like that do the primary no harm', async () => {
  const { worker, port, honest } = await liar();
  worker.send('odd words');
  assert.strictEqual((await happened(worker, 'message'))[0], 'ready');
  assert.strictEqual(await get(port).then((answer) => [`${honest.id}`, 'lies'].includes(answer)), true);
});

test('a question that no socket answers is answered with an error, and the worker goes on', async () => {
  const { worker, port, honest } = await liar();
  worker.send('no such socket');
  assert.strictEqual((await happened(worker, 'message'))[0], 'ready');
  assert.ok(worker.isConnected());
  assert.strictEqual(await get(port), `${honest.id}`);
});
