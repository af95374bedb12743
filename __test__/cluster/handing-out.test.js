'use strict';
// Connections come to workers, one worker each.

const assert = require('node:assert');
const { fork } = require('node:child_process');
const net = require('node:net');
const path = require('node:path');
const { test, afterEach } = require('node:test');
const { workers, end, get, told } = require('../helpers/cluster.js');
const { leavesNothing, temporary, stopped } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { kOf, kClaims } = require('../../lib/cluster/worker.js');

leavesNothing();
afterEach(end);

test('connections that come one after the other go to the workers in turn', async () => {
  const { workers: all, port } = await workers('say-id', 3);
  const answers = [];
  for (let i = 0; i < 9; i++) answers.push(await get(port));
  assert.deepStrictEqual(answers.slice(3), [...answers.slice(0, 3), ...answers.slice(0, 3)]);
  assert.deepStrictEqual(answers.slice(0, 3).sort(), all.map((worker) => `${worker.id}`).sort());
});

for (const serialization of ['json', 'advanced']) {
  test(`every one of many connections at once is answered, with ${serialization} messages`, async () => {
    const { workers: all, port } = await workers('say-id', 2, { serialization });
    const answers = await Promise.all(Array.from({ length: 300 }, () => get(port)));
    assert.deepStrictEqual([...new Set(answers)].sort(), all.map((worker) => `${worker.id}`).sort());
  });
}

test('a path is served, and gone when the last worker has gone', async () => {
  const socket = path.join(temporary(), 'socket');
  const { workers: all } = await workers('say-id', 2, { env: { LISTEN_PATH: socket } });
  const answers = [await get(socket), await get(socket)];
  assert.deepStrictEqual(answers.sort(), all.map((worker) => `${worker.id}`).sort());
  await end();
  await assert.rejects(get(socket), { code: 'ENOENT' });
});

test('connections are handed out while the primary is busy with something else', async () => {
  const { port } = await workers('say-id', 2);
  // Asks from another process, and says so on its standard output.
  const client = fork(path.join(__dirname, '../fixtures/cluster/asks.js'), [`${port}`, '20'], { silent: true });
  await happened(client, 'message');
  const blocked = new Int32Array(new SharedArrayBuffer(4));
  let milliseconds = 0;
  const { statSync } = require('node:fs');
  const done = path.join(temporary(), 'done');
  client.send(done);
  const isDone = () => {
    try {
      return statSync(done).size > 0;
    } catch {
      return false;
    }
  };
  // This thread's loop does not turn until all twenty have been answered.
  while (!isDone() && milliseconds < 60_000) {
    Atomics.wait(blocked, 0, 0, 10);
    milliseconds += 10;
  }
  assert.ok(isDone());
  await happened(client, 'exit');
});

test('messages of a worker keep their order among connections', async () => {
  const { workers: [worker], port } = await workers('say-id', 1);
  const heard = [];
  worker.on('message', (message) => heard.push(message));
  const requests = [];
  for (let i = 0; i < 200; i++) {
    worker.send(i);
    if (i % 4 === 0) requests.push(get(port));
  }
  await Promise.all(requests);
  await until(() => heard.length === 200, 'all messages');
  assert.deepStrictEqual(heard, Array.from({ length: 200 }, (_, i) => i));
});

test('a worker that reads slowly makes send return false, and all that was sent is called back for and arrives', async () => {
  const { workers: [worker], port } = await workers('say-id', 1);
  const text = 'x'.repeat(512 * 1024);
  worker.process.kill('SIGSTOP');
  await stopped(worker.process.pid);
  let called = 0;
  let heard = 0;
  worker.on('message', () => heard++);
  const below = Array.from({ length: 12 }, () => worker.send(text, () => called++));
  assert.strictEqual(below.at(-1), false);
  const drained = happened(worker.process.channel, 'drain');
  worker.process.kill('SIGCONT');
  await drained;
  await until(() => called === 12 && heard === 12, 'all callbacks and echoes');
  assert.strictEqual(await get(port), `${worker.id}`);
});

test('sockets that the program sends to a worker come beside those that are handed out', async () => {
  const { workers: [worker], port } = await workers('takes-sockets', 1);
  const server = net.createServer((socket) => worker.send('take', socket)).listen(0, '127.0.0.1');
  await happened(server, 'listening');
  const answers = [];
  for (let i = 0; i < 20; i++) answers.push(told(server.address().port), told(port));
  const all = await Promise.all(answers);
  assert.deepStrictEqual(all, Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? 'sent' : 'accepted')));
  server.close();
});

test('a paused worker gets nothing new until it is resumed', async () => {
  const { workers: [first, second], port } = await workers('say-id', 2);
  first.pause();
  for (let i = 0; i < 6; i++) assert.strictEqual(await get(port), `${second.id}`);
  first.resume();
  const answers = [await get(port), await get(port)];
  assert.deepStrictEqual(answers.sort(), [`${first.id}`, `${second.id}`].sort());
});

test('a worker that is busy gets nothing more than it has, and all are answered', async () => {
  const { port } = await workers('say-id', 2);
  const slow = await get(port, '/block/300');
  const answers = await Promise.all(Array.from({ length: 40 }, () => get(port)));
  assert.strictEqual(answers.length, 40);
  assert.ok(answers.filter((answer) => answer !== slow).length >= 20);
});

test('what a stopped worker has not begun with goes to others, and stays theirs when it goes on', async () => {
  const { workers: [first, second], port } = await workers('say-id', 2);
  await Promise.all([first, second].map((worker) => until(() => worker[kClaims], 'both to take claims')));
  first.process.kill('SIGSTOP');
  await stopped(first.process.pid);
  const answers = await Promise.all(Array.from({ length: 10 }, () => get(port)));
  assert.deepStrictEqual(answers, new Array(10).fill(`${second.id}`));
  assert.ok(unanswered(first) > 0);
  first.process.kill('SIGCONT');
  await until(() => unanswered(first) === 0, 'the worker to give up what it no longer has');
  assert.ok(first.isConnected());
  const all = [await get(port), await get(port)];
  assert.deepStrictEqual(all.sort(), [`${first.id}`, `${second.id}`].sort());
});

test('what a killed worker had not answered is answered by another', async () => {
  const { workers: [first, second], port } = await workers('say-id', 2);
  first.process.kill('SIGSTOP');
  await stopped(first.process.pid);
  const answers = Array.from({ length: 10 }, () => get(port));
  await until(() => unanswered(first) > 0, 'a connection for the stopped worker');
  first.process.kill('SIGKILL');
  assert.deepStrictEqual(await Promise.all(answers), new Array(10).fill(`${second.id}`));
});

test('a worker that refuses all connections keeps nobody busy, and the next one gets them', async () => {
  const { workers: [first, second], port } = await workers('say-id', 2);
  first.send('max-1');
  first.send('known');
  await happened(first, 'message');
  const held = [net.connect(port, '127.0.0.1'), net.connect(port, '127.0.0.1')];
  await Promise.all(held.map((socket) => happened(socket, 'connect')));
  await until(() => adopted(first) + adopted(second) === 2, 'both to be adopted');
  for (let i = 0; i < 6; i++) assert.strictEqual(await get(port), `${second.id}`);
  for (const socket of held) socket.destroy();
});

// How many connections a worker has been given without an answer.
const unanswered = (worker) => worker[kOf].native.counts(worker.id).unanswered;
// How many it has taken.
const adopted = (worker) => worker[kOf].native.counts(worker.id).adopted;
