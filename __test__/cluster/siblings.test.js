'use strict';
// Workers talk to each other without their primary.

const assert = require('node:assert');
const path = require('node:path');
const nodeCluster = require('node:cluster');
const { test, afterEach } = require('node:test');
const { cluster, workers, end } = require('../helpers/cluster.js');
const { fixture, environment, ROOT } = require('../helpers/modules.js');
const { leavesNothing, stopped } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');

leavesNothing();
afterEach(end);

const env = { RSIPC_CLUSTER_ENTRY: path.join(ROOT, 'cluster.js') };
let numbers = 0;

// Has a worker do something; resolves with what it answers.
function tell(worker, act, fields) {
  const number = ++numbers;
  return new Promise((resolve, reject) => {
    const look = ({ number: which, value, error }) => {
      if (which !== number) return;
      worker.removeListener('message', look);
      worker.removeListener('exit', gone);
      if (error === undefined) resolve(value);
      else reject(Object.assign(new Error(error.message), error));
    };
    const gone = () => reject(new Error('the worker has ended'));
    worker.on('message', look);
    worker.on('exit', gone);
    worker.send({ number, act, ...fields });
  });
}

const heardGone = (worker, id) => new Promise((resolve) => {
  worker.on('message', (message) => message.gone === id && resolve());
});

const siblings = async (count, { listens = true, ...settings } = {}) => (await workers('siblings', count, { env: { ...env, ...(listens && { LISTENS: '1' }) }, ...settings })).workers;

for (const serialization of ['json', 'advanced']) {
  test(`a worker asks another one, and messages between them come in order (${serialization})`, async () => {
    const [a, b] = await siblings(2);
    await tell(a, 'connect', { id: b.id, options: { serialization } });
    assert.deepStrictEqual(await tell(a, 'ask', { id: b.id, body: [1] }), { body: [1], pid: b.process.pid });
    assert.deepStrictEqual(await tell(b, 'ask', { id: a.id, body: null }), { body: null, pid: a.process.pid });
    await tell(a, 'send', { id: b.id, count: 3000 });
    await until(async () => (await tell(b, 'heard')).length === 3000, 'all messages');
    assert.deepStrictEqual(await tell(b, 'heard'), Array.from({ length: 3000 }, (_, i) => i));
    if (process.env.RSIPC_TRANSPORT !== 'socket') await until(async () => await tell(a, 'transport', { id: b.id }) === 'ring', 'the pair to leave the socket');
  });
}

test('workers that are threads have channels as well', async () => {
  const [a, b] = await siblings(2, { threads: true });
  await tell(a, 'connect', { id: b.id });
  assert.deepStrictEqual((await tell(a, 'ask', { id: b.id, body: 'hello' })).body, 'hello');
  const gone = heardGone(a, b.id);
  b.process.kill('SIGKILL');
  await gone;
});

test('a worker is told which others there are', async () => {
  const [a, b, c] = await siblings(3);
  assert.deepStrictEqual(await tell(b, 'siblings'), [a.id, c.id]);
  const gone = happened(a, 'exit');
  a.process.kill('SIGKILL');
  await gone;
  assert.deepStrictEqual(await tell(b, 'siblings'), [c.id]);
});

test('a channel waits until the other worker listens for one', async () => {
  const [a, b] = await siblings(2, { listens: false });
  const connected = tell(a, 'connect', { id: b.id });
  await tell(b, 'listen');
  await connected;
  assert.strictEqual((await tell(a, 'ask', { id: b.id })).pid, b.process.pid);
  await tell(b, 'deaf');
  await assert.rejects(tell(a, 'connect', { id: b.id, options: { timeout: 1 } }), { code: 'ERR_RSIPC_TIMEOUT', message: new RegExp(`worker ${b.id}`) });
  assert.strictEqual((await tell(a, 'ask', { id: b.id })).pid, b.process.pid, 'the first channel is as it was');
});

test('a channel that was given up while it was waited for comes to nobody', async () => {
  const [a, b] = await siblings(2, { listens: false });
  const refused = assert.rejects(tell(a, 'connect', { id: b.id, abortable: true }), { name: 'AbortError', code: 'ABORT_ERR' });
  await tell(a, 'abort');
  await refused;
  await tell(a, 'siblings'); // an answer to what was asked later
  await tell(b, 'listen');
  await assert.rejects(tell(b, 'ask', { id: a.id }), { name: 'TypeError' }); // it has no such channel
});

test('what cannot be connected to is refused with the reason', async () => {
  const [a, b] = await siblings(2);
  await assert.rejects(tell(a, 'connect', { id: a.id }), { code: 'ERR_INVALID_ARG_VALUE' });
  await assert.rejects(tell(a, 'connect', { id: 12_345 }), { code: 'ERR_RSIPC_NOT_FOUND', message: /no worker 12345/ });
  for (const id of ['1', 0, 1.5, null]) await assert.rejects(tell(a, 'connect', { id }), /ERR_INVALID_ARG_TYPE|ERR_OUT_OF_RANGE|must be/);
  await assert.rejects(tell(a, 'connect', { id: b.id, options: { serialization: 'xml' } }), { code: 'ERR_INVALID_ARG_VALUE' });
  await assert.rejects(tell(a, 'connect', { id: b.id, options: { timeout: -1 } }), { code: 'ERR_OUT_OF_RANGE' });
});

test('a worker that is killed is gone for its siblings, and a channel to it that is waited for is refused', async () => {
  const [a, b, c] = await siblings(3);
  await tell(a, 'connect', { id: b.id });
  await tell(c, 'deaf');
  const refused = assert.rejects(tell(a, 'connect', { id: c.id }), { code: 'ERR_RSIPC_PEER_GONE' });
  await tell(a, 'siblings'); // an answer to what was asked later
  const gone = heardGone(a, b.id);
  b.process.kill('SIGKILL');
  c.process.kill('SIGKILL');
  await Promise.all([gone, refused]);
  await until(async () => (await tell(a, 'siblings')).length === 0, 'the primary to know'); // 'b' told 'a' itself
});

test('channels end with a worker that leaves, and do not keep it', async () => {
  const [a, b] = await siblings(2);
  await tell(a, 'connect', { id: b.id });
  const gone = heardGone(a, b.id);
  const left = happened(b, 'exit');
  b.disconnect();
  await gone;
  assert.deepStrictEqual(await left, [0, null]);
});

test('after a reload the new workers find each other', async () => {
  const [a, b] = await siblings(2);
  await tell(a, 'connect', { id: b.id });
  const [c, d] = await cluster.reload({ timeout: 20_000 });
  assert.deepStrictEqual([a, b].map((worker) => worker.process.exitCode), [0, 0]);
  await tell(c, 'connect', { id: d.id });
  assert.strictEqual((await tell(c, 'ask', { id: d.id })).pid, d.process.pid);
});

test('a sibling that is stopped costs the others nothing, and has its channel when it goes on', async () => {
  const [a, b, c] = await siblings(3);
  b.process.kill('SIGSTOP');
  await stopped(b.process.pid);
  await tell(a, 'connect', { id: b.id });
  await tell(a, 'connect', { id: c.id });
  assert.strictEqual((await tell(a, 'ask', { id: c.id })).pid, c.process.pid);
  b.process.kill('SIGCONT');
  assert.strictEqual((await tell(a, 'ask', { id: b.id })).pid, b.process.pid);
});

for (const lie of [{ act: 'connect', ticket: 1, to: '__proto__' }, { act: 'connect', to: 1 }, { act: 'siblings', ticket: 'x' }, { act: 'cancel' }]) {
  test(`a worker that asks for a channel as nobody does is let go: ${JSON.stringify(lie)}`, async () => {
    const [a, b] = await siblings(2);
    const told = happened(a.process, 'protocolError');
    const gone = happened(a, 'exit');
    tell(a, 'lie', { lie }).catch(() => {});
    assert.strictEqual((await told)[0].code, 'ERR_RSIPC_CLUSTER_PROTOCOL');
    await gone;
    assert.deepStrictEqual(await tell(b, 'siblings'), []);
  });
}

test('a thousand questions may wait for a worker to listen, and more are refused', async () => {
  const [a, b] = await siblings(2, { listens: false });
  for (let ticket = 1; ticket <= 1024; ticket++) await tell(a, 'lie', { lie: { act: 'connect', to: b.id, ticket: -ticket } });
  await assert.rejects(tell(a, 'connect', { id: b.id }), { code: 'ERR_RSIPC_TOO_MANY_REQUESTS' });
});

test('with Node\'s own cluster as primary nobody answers', async () => {
  nodeCluster.setupPrimary({ exec: fixture('cluster/siblings'), args: [], execArgv: [] });
  const worker = nodeCluster.fork({ ...environment(false), ...env });
  await happened(worker, 'listening');
  await assert.rejects(tell(worker, 'connect', { id: 7, options: { timeout: 50 } }), { code: 'ERR_RSIPC_TIMEOUT' });
  const gone = happened(worker, 'exit');
  worker.disconnect();
  await gone;
});
