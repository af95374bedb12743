'use strict';
// getOneMessage and getEachMessage: messages as a promise and as an async iterator.

const assert = require('node:assert');
const { test } = require('node:test');
const { rsipc, fixture, environment } = require('../helpers/modules.js');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, within, barrier } = require('../helpers/wait.js');

leavesNothing();

async function withChild(program, args, use, options = {}) {
  const child = rsipc.fork(fixture(program), args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], env: environment(false), ...options });
  const exited = happened(child, 'exit');
  try {
    await within(use(child), 'the test');
  } finally {
    if (child.connected) child.disconnect();
    await exited;
  }
}

test('getOneMessage resolves with the next message', () => withChild('fork/echo', [], async (child) => {
  child.send({ n: 1 });
  assert.deepStrictEqual(await child.getOneMessage(), { n: 1 });
}));

test('one after the other, no message is lost in between', () => withChild('fork/say', ['50'], async (child) => {
  for (let i = 1; i <= 50; i++) assert.strictEqual((await child.getOneMessage()).n, i);
}));

test('messages that came before the first call are kept', () => withChild('fork/say', ['3'], async (child) => {
  await happened(child, 'exit').catch(() => {});
  await barrier();
  for (let i = 1; i <= 3; i++) assert.strictEqual((await child.getOneMessage()).n, i);
  await assert.rejects(child.getOneMessage(), { code: 'ERR_RSIPC_PEER_GONE' });
}));

test('filter chooses the message', () => withChild('fork/say', ['5'], async (child) => {
  assert.strictEqual((await child.getOneMessage({ filter: ({ n }) => n === 4 })).n, 4);
}));

test('a filter that throws rejects', () => withChild('fork/echo', [], async (child) => {
  child.send(1);
  await assert.rejects(child.getOneMessage({ filter() { throw new RangeError('bad filter'); } }), { name: 'RangeError', message: 'bad filter' });
}));

test('timeout rejects and leaves no listener', () => withChild('fork/echo', [], async (child) => {
  const started = Date.now();
  await assert.rejects(child.getOneMessage({ timeout: 40 }), { code: 'ERR_RSIPC_TIMEOUT' });
  assert.ok(Date.now() - started >= 39);
  assert.strictEqual(child.listenerCount('message'), 0);
}));

test('signal rejects with an AbortError', () => withChild('fork/echo', [], async (child) => {
  const controller = new AbortController();
  const waiting = child.getOneMessage({ signal: controller.signal });
  controller.abort();
  await assert.rejects(waiting, { name: 'AbortError', code: 'ABORT_ERR' });
  await assert.rejects(child.getOneMessage({ signal: AbortSignal.abort() }), { name: 'AbortError' });
  assert.strictEqual(child.listenerCount('message'), 0);
}));

test('the end of the channel rejects', () => withChild('fork/echo', [], async (child) => {
  const waiting = child.getOneMessage();
  child.disconnect();
  await assert.rejects(waiting, { code: 'ERR_RSIPC_PEER_GONE' });
}));

test('options are checked', () => withChild('fork/echo', [], async (child) => {
  assert.throws(() => child.getOneMessage('x'), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => child.getOneMessage({ filter: 1 }), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => child.getOneMessage({ timeout: -1 }), { code: 'ERR_OUT_OF_RANGE' });
  assert.throws(() => child.getOneMessage({ signal: {} }), { code: 'ERR_INVALID_ARG_TYPE' });
}));

test('getEachMessage gives every message, then ends with the channel', () => withChild('fork/say', ['5000'], async (child) => {
  let expected = 0;
  for await (const { n } of child.getEachMessage()) assert.strictEqual(n, ++expected);
  assert.strictEqual(expected, 5_000);
  assert.strictEqual(child.listenerCount('message') + child.listenerCount('disconnect'), 0);
}));

test('getEachMessage gives early messages too', () => withChild('fork/say', ['20'], async (child) => {
  await happened(child, 'exit');
  await barrier();
  const got = [];
  for await (const { n } of child.getEachMessage({ filter: ({ n: number }) => number % 2 === 0 })) got.push(n);
  assert.deepStrictEqual(got, [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]);
}));

test('a slow reader of getEachMessage loses nothing', () => withChild('fork/say', ['4000'], async (child) => {
  let expected = 0;
  for await (const { n } of child.getEachMessage()) {
    assert.strictEqual(n, ++expected);
    if (n % 500 === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.strictEqual(expected, 4_000);
}));

test('leaving the loop leaves the channel as it was', () => withChild('fork/say-then-stay', ['3'], async (child) => {
  for await (const message of child.getEachMessage()) {
    if (message === 1) break;
  }
  assert.strictEqual(child.listenerCount('message'), 0);
  assert.strictEqual(child.connected, true);
  child.send('again');
  assert.strictEqual(await child.getOneMessage({ filter: (message) => message === 'again' }), 'again');
}));

test('signal ends the loop with an AbortError', () => withChild('fork/echo', [], async (child) => {
  const controller = new AbortController();
  child.send('first');
  await assert.rejects(async () => {
    for await (const message of child.getEachMessage({ signal: controller.signal })) {
      assert.strictEqual(message, 'first');
      controller.abort();
    }
  }, { name: 'AbortError' });
}));

test('two loops see the same messages', () => withChild('fork/say', ['100'], async (child) => {
  const read = async () => {
    const got = [];
    for await (const { n } of child.getEachMessage()) got.push(n);
    return got;
  };
  const [one, two] = await Promise.all([read(), read()]);
  assert.deepStrictEqual([one.length, two], [100, one]);
}));
