'use strict';
// Worker threads: those of a child talk to its parent, those of a parent have children of their own, and
// a thread may end at any moment.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { Worker } = require('node:worker_threads');
const { test } = require('node:test');
const { rsipc, fixture, environment, ENTRY } = require('../helpers/modules.js');
const { leavesNothing, temporary, descriptors, alive } = require('../helpers/leavings.js');
const { happened, until, text } = require('../helpers/wait.js');

leavesNothing();

for (const serialization of ['json', 'advanced']) {
  test(`threads of a child send to the parent, each in its order (${serialization})`, async () => {
    const threads = 3;
    const count = 400;
    const child = rsipc.fork(fixture('lifecycle/threads'), [String(threads), String(count)], { serialization, stdio: ['ignore', 'ignore', 'inherit', 'ipc'], env: environment(false) });
    const next = Array(threads).fill(0);
    const answers = [];
    child.on('message', (message) => {
      if (message.i !== undefined) assert.strictEqual(message.i, next[message.thread]++);
      else if (message.listening) child.send({ to: message.thread, text: `to ${message.thread}` });
      else if (message.answers) answers.push(`${message.answers} ${message.connected} ${message.pid}`);
      else child.disconnect();
    });
    await happened(child, 'exit');
    assert.deepStrictEqual(next, Array(threads).fill(count));
    assert.deepStrictEqual(answers.sort(), ['to 0 true true', 'to 1 true true', 'to 2 true true']);
  });
}

test('what a thread sends goes on when the parent reads again, though the child\'s main thread sleeps', async () => {
  const child = rsipc.fork(fixture('lifecycle/thread-floods'), [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], env: environment(false) });
  const [ready] = await happened(child, 'message');
  assert.strictEqual(ready, 'ready');
  const count = 200;
  let next = 0;
  child.on('message', ({ i }) => assert.strictEqual(i, next++));
  await new Promise((resolve) => child.send({ count, size: 50_000 }, resolve));
  // Nothing is read meanwhile: the kernel's buffer fills up.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400);
  await until(() => next === count, 'all messages of the thread');
  child.disconnect();
  await happened(child, 'exit');
});

test('a callback of the main thread comes when its own message is written, whatever threads have sent', async () => {
  const child = rsipc.fork(fixture('lifecycle/thread-sends-along'), [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], env: environment(false) });
  let told;
  child.on('message', (message) => {
    if (message.queued) told = message.queued;
  });
  await happened(child, 'exit');
  assert.deepStrictEqual(told, { bytes: 0, messages: 0 });
});

test('a thread that sends after the main thread has disconnected finds the channel closed, as under Node', async () => {
  const child = rsipc.fork(fixture('lifecycle/thread-sends-late'), [], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'], env: environment(false) });
  const closed = 'ERR_IPC_CHANNEL_CLOSED';
  assert.deepStrictEqual(JSON.parse(await text(child.stdout)), [false, false, false, false, `second ${closed}`, `fourth ${closed}`, `event ${closed}`]);
});

test('a thread forks children and ends when they are done', async () => {
  const worker = new Worker(fixture('lifecycle/thread-forks'), { workerData: { entry: ENTRY, env: environment(false), traffic: false } });
  const messages = [];
  worker.on('message', (message) => messages.push(message));
  assert.deepStrictEqual(await happened(worker, 'exit'), [0]);
  assert.strictEqual(messages[1].message, 'hello');
  await until(() => !alive(messages[0].pid), 'the child to end');
});

test('threads that are terminated under traffic leave neither children nor descriptors', async () => {
  for (let round = 0; round < 6; round++) {
    const workers = [0, 1].map(() => new Worker(fixture('lifecycle/thread-forks'), { workerData: { entry: ENTRY, env: environment(false), traffic: true } }));
    const pids = new Set();
    await Promise.all(workers.map((worker) => new Promise((resolve, reject) => {
      let seen = 0;
      worker.on('error', reject);
      worker.on('message', ({ pid }) => {
        pids.add(pid);
        if (++seen === 2 + round * 10) resolve();
      });
    })));
    await Promise.all(workers.map((worker) => worker.terminate()));
    assert.strictEqual(pids.size, 2);
    await until(() => [...pids].every((pid) => !alive(pid)), 'the children to notice');
  }
});

test('descriptors that nobody was given are closed with the thread they came to', async () => {
  const file = path.join(temporary(), 'sent');
  fs.writeFileSync(file, '');
  const open = () => [...descriptors().values()].filter((target) => target === file).length;
  const worker = new Worker(fixture('lifecycle/thread-never-listens'), { workerData: { entry: ENTRY, env: environment(false), file } });
  await happened(worker, 'message');
  assert.strictEqual(open(), 5);
  await worker.terminate();
  assert.strictEqual(open(), 0);
});

test('a descriptor of which no object can be made is closed once', async () => {
  const worker = new Worker(fixture('lifecycle/thread-cannot-wrap'), { workerData: { entry: ENTRY, env: environment(false) } });
  const [{ reason, fd }] = await happened(worker, 'message');
  assert.strictEqual(reason, 'lost');
  // Its number is another file's now, which the end of the thread must not close.
  const files = [];
  try {
    do files.push(fs.openSync('/dev/null')); while (files.at(-1) < fd);
    assert.ok(files.includes(fd));
    await worker.terminate();
    assert.ok(fs.fstatSync(fd).isCharacterDevice());
  } finally {
    for (const file of files) fs.closeSync(file);
  }
});

test('a thread that is terminated in the moment it starts does no harm', async () => {
  for (let round = 0; round < 8; round++) {
    const worker = new Worker(`require(${JSON.stringify(ENTRY)}).fork`, { eval: true });
    if (round % 2 === 0) await happened(worker, 'online');
    await worker.terminate();
  }
  assert.strictEqual(typeof rsipc.fork, 'function');
});

for (const how of ['ends', 'is terminated']) {
  test(`a thread that ${how} with a listener does not keep the child`, async () => {
    const child = rsipc.fork(fixture('lifecycle/thread-listens'), [how], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], env: environment(false) });
    assert.deepStrictEqual(await happened(child, 'exit'), [0, null]);
  });
}
