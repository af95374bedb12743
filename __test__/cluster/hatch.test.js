'use strict';
// Connections that come to a worker beside its channel (Linux): from the second of a server's on, as Node's cluster would
// have brought them.

const assert = require('node:assert');
const { test, afterEach } = require('node:test');
const { workers, end, told } = require('../helpers/cluster.js');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { kOf } = require('../../lib/cluster/worker.js');

leavesNothing();
afterEach(end);

const skip = process.platform !== 'linux';
const counts = (worker) => worker[kOf].native.counts(worker.id);

async function ask(worker, message) {
  const answer = happened(worker, 'message');
  worker.send(message);
  return (await answer)[0];
}

// Until connections come that way.
async function direct(worker, port) {
  await until(async () => {
    const before = Number((await told(port)).split(':')[1]);
    return Number((await told(port)).split(':')[1]) === before;
  }, 'a connection that no message brought');
  await until(() => counts(worker).unanswered === 0, 'all answers');
}

for (const serialization of ['json', 'advanced']) {
  test(`connections take no messages, with ${serialization} messages`, { skip }, async () => {
    const { workers: [worker], port } = await workers('told-how', 1, { serialization });
    await direct(worker, port);
    const before = await told(port);
    const answers = await Promise.all(Array.from({ length: 100 }, () => told(port)));
    assert.deepStrictEqual(new Set(answers), new Set([before]));
    await until(() => counts(worker).unanswered === 0, 'all answers');
    assert.ok(counts(worker).adopted > 100);
  });
}

test('a server that is closed and listens again is served', { skip }, async () => {
  const { workers: [worker], port } = await workers('told-how', 1);
  await direct(worker, port);
  for (let i = 0; i < 3; i++) {
    assert.strictEqual(await ask(worker, 'again'), 'listening');
    for (let n = 0; n < 4; n++) assert.match(await told(port), /^1?\d+:\d+$/);
  }
});

test('what a listener throws is an uncaught exception of the worker, and the next connections are served', { skip }, async () => {
  const { workers: [worker], port } = await workers('told-how', 1);
  await direct(worker, port);
  assert.strictEqual(await ask(worker, 'throw'), 'ready');
  const thrown = happened(worker, 'message');
  const answers = await Promise.all(Array.from({ length: 10 }, () => told(port)));
  assert.strictEqual((await thrown)[0], 'thrown');
  assert.strictEqual(answers.length, 10);
});

test('what a worker has been given and not begun with goes to another when it blocks, and when it is killed', { skip }, async () => {
  const { workers: [first, second], port } = await workers('told-how', 2);
  for (const worker of [first, second]) await direct(worker, port);
  assert.strictEqual(await ask(first, 'block'), 'ready');
  let left = 30;
  const answers = Array.from({ length: left }, () => told(port).finally(() => left--));
  // All but the one that it has begun with, which the system has taken an answer to.
  await until(() => left <= 1, 'all but one answer');
  first.process.kill('SIGKILL');
  const others = (await Promise.all(answers)).filter((answer) => answer.startsWith(`${second.id}:`));
  assert.ok(others.length >= 15, `${others.length} by the other worker`);
});

test('a worker that has as many connections as it may leaves the others to another', { skip }, async () => {
  const { workers: [first, second], port } = await workers('told-how', 2, { env: { MOST: '2' } });
  for (const worker of [first, second]) await direct(worker, port);
  const answers = await Promise.all(Array.from({ length: 40 }, () => told(port)));
  assert.ok(answers.every((answer) => /^\d+:\d+$/.test(answer)));
  assert.strictEqual(answers.length, 40);
});
