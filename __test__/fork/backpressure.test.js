'use strict';
// Above the high-water mark send() returns false; 'drain' and ready() tell when it is below again.

const assert = require('node:assert');
const { test } = require('node:test');
const { rsipc, fixture, environment } = require('../helpers/modules.js');
const { leavesNothing, stopped } = require('../helpers/leavings.js');
const { happened, within } = require('../helpers/wait.js');

leavesNothing();

// Runs `use` with a child that reads nothing for the time being.
async function withStopped(use, options = {}) {
  const child = rsipc.fork(fixture('fork/count'), [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], env: environment(false), ...options });
  const exited = happened(child, 'exit');
  try {
    await happened(child, 'message');
    child.kill('SIGSTOP');
    await stopped(child.pid);
    await within(use(child), 'the test');
  } finally {
    child.kill('SIGKILL');
    await exited;
  }
}

// Sends messages until send() answers false; how many it took.
function fill(child, message) {
  for (let sent = 1; sent < 1_000_000; sent++) if (!child.send(message)) return sent;
  throw new Error('send never returned false');
}

async function count(child) {
  child.send('how many?');
  return (await happened(child, 'message'))[0];
}

test('send returns false above 128 KiB, and drain comes when the child has read', () => withStopped(async (child) => {
  const sent = fill(child, 'x'.repeat(1_000));
  const { bytes, messages } = child.channel.queued;
  assert.ok(bytes >= 131_072 && bytes < 131_072 + 2_000, `${bytes} bytes`);
  assert.ok(messages > 100 && messages <= sent, `${messages} messages`);
  const drained = happened(child.channel, 'drain');
  child.kill('SIGCONT');
  await drained;
  assert.ok(child.channel.queued.bytes < 131_072);
  assert.strictEqual(await count(child), sent);
}));

test('highWaterMark counts bytes or messages, whichever is reached first', async () => {
  await withStopped(async (child) => {
    fill(child, 'x'.repeat(1_000));
    assert.ok(child.channel.queued.bytes >= 10_000 && child.channel.queued.bytes < 12_500, `${child.channel.queued.bytes} bytes`);
  }, { highWaterMark: 10_000 });
  await withStopped(async (child) => {
    fill(child, 'x'.repeat(1_000));
    assert.strictEqual(child.channel.queued.messages, 5);
  }, { highWaterMark: { messages: 5 } });
});

test('ready() resolves at once below the mark, and after drain above it', () => withStopped(async (child) => {
  await child.channel.ready();
  const sent = fill(child, 'x'.repeat(1_000));
  let ready = false;
  const waiting = child.channel.ready().then(() => { ready = true; });
  await new Promise(setImmediate);
  assert.strictEqual(ready, false);
  child.kill('SIGCONT');
  await waiting;
  assert.strictEqual(await count(child), sent);
}));

test('a loop over ready() sends a large amount in bounded memory', () => withStopped(async (child) => {
  child.kill('SIGCONT');
  const text = 'x'.repeat(10_000);
  let highest = 0;
  for (let i = 0; i < 1_500; i++) {
    if (!child.send(text)) await child.channel.ready();
    highest = Math.max(highest, child.channel.queued.bytes);
  }
  assert.ok(highest < 131_072 + 20_000, `${highest} bytes were queued`);
  assert.strictEqual(await count(child), 1_500);
}));

test('ready() rejects when the child dies', () => withStopped(async (child) => {
  fill(child, 'x'.repeat(1_000));
  const waiting = child.channel.ready();
  child.kill('SIGKILL');
  await assert.rejects(waiting, { code: 'ERR_RSIPC_PEER_GONE' });
}));

test('ready() takes a timeout and a signal', () => withStopped(async (child) => {
  fill(child, 'x'.repeat(1_000));
  await assert.rejects(child.channel.ready({ timeout: 30 }), { code: 'ERR_RSIPC_TIMEOUT' });
  const controller = new AbortController();
  const waiting = child.channel.ready({ signal: controller.signal });
  controller.abort();
  await assert.rejects(waiting, { name: 'AbortError' });
}));

test('flushSync writes all there is to a child that reads', () => withStopped(async (child) => {
  const sent = 300;
  for (let i = 0; i < sent; i++) child.send('x'.repeat(10_000));
  child.kill('SIGCONT');
  assert.deepStrictEqual(child.channel.flushSync({ deadline: 30_000 }), { messages: 0, bytes: 0 });
  assert.deepStrictEqual(child.channel.queued, { bytes: 0, messages: 0 });
  assert.strictEqual(await count(child), sent);
}));

test('flushSync gives up at its deadline and tells what is left', () => withStopped(async (child) => {
  while (child.channel.queued.messages < 250) child.send('x'.repeat(10_000));
  await new Promise(setImmediate);
  const before = child.channel.queued;
  const started = Date.now();
  const left = child.channel.flushSync({ deadline: 100 });
  assert.ok(Date.now() - started >= 99);
  assert.deepStrictEqual(left, before);
  assert.ok(left.bytes > 1_500_000, `${left.bytes} bytes`);
  assert.strictEqual(child.connected, true);
}));

test('callbacks of queued messages come as they are written', () => withStopped(async (child) => {
  fill(child, 'x'.repeat(1_000));
  let called = false;
  const done = new Promise((resolve) => child.send('last', (error) => {
    called = true;
    resolve(error);
  }));
  await new Promise(setImmediate);
  assert.strictEqual(called, false);
  child.kill('SIGCONT');
  assert.strictEqual(await done, null);
}));
