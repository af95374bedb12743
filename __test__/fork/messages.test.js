'use strict';
// getOneMessage and getEachMessage: messages as a promise and as an async iterator.

const assert = require('node:assert');
const { test } = require('node:test');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, barrier } = require('../helpers/wait.js');
const { withChild } = require('../helpers/with-child.js');

leavesNothing();

test('getOneMessage resolves with the next message', () => withChild(async (child) => {
  child.send({ n: 1 });
  assert.deepStrictEqual(await child.getOneMessage(), { n: 1 });
}, { program: 'fork/echo' }));

test('one after the other, no message is lost in between', () => withChild(async (child) => {
  for (let i = 1; i <= 50; i++) assert.strictEqual((await child.getOneMessage()).n, i);
}, { program: 'fork/say', args: ['50'] }));

test('messages that came before the first call are kept', () => withChild(async (child) => {
  await happened(child, 'exit').catch(() => {});
  await barrier();
  for (let i = 1; i <= 3; i++) assert.strictEqual((await child.getOneMessage()).n, i);
  await assert.rejects(child.getOneMessage(), { code: 'ERR_RSIPC_PEER_GONE' });
}, { program: 'fork/say', args: ['3'] }));

test('filter chooses the message', () => withChild(async (child) => {
  assert.strictEqual((await child.getOneMessage({ filter: ({ n }) => n === 4 })).n, 4);
}, { program: 'fork/say', args: ['5'] }));

test('a filter that throws rejects', () => withChild(async (child) => {
  child.send(1);
  await assert.rejects(child.getOneMessage({ filter() { throw new RangeError('bad filter'); } }), { name: 'RangeError', message: 'bad filter' });
}, { program: 'fork/echo' }));

test('timeout rejects and leaves no listener', () => withChild(async (child) => {
  const started = Date.now();
  await assert.rejects(child.getOneMessage({ timeout: 40 }), { code: 'ERR_RSIPC_TIMEOUT' });
  assert.ok(Date.now() - started >= 39);
  assert.strictEqual(child.listenerCount('message'), 0);
}, { program: 'fork/echo' }));

test('signal rejects with an AbortError', () => withChild(async (child) => {
  const controller = new AbortController();
  const waiting = child.getOneMessage({ signal: controller.signal });
  controller.abort();
  await assert.rejects(waiting, { name: 'AbortError', code: 'ABORT_ERR' });
  await assert.rejects(child.getOneMessage({ signal: AbortSignal.abort() }), { name: 'AbortError' });
  assert.strictEqual(child.listenerCount('message'), 0);
}, { program: 'fork/echo' }));

test('the end of the channel rejects', () => withChild(async (child) => {
  const waiting = child.getOneMessage();
  child.disconnect();
  await assert.rejects(waiting, { code: 'ERR_RSIPC_PEER_GONE' });
}, { program: 'fork/echo' }));

test('options are checked', () => withChild(async (child) => {
  assert.throws(() => child.getOneMessage('x'), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => child.getOneMessage({ filter: 1 }), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => child.getOneMessage({ timeout: -1 }), { code: 'ERR_OUT_OF_RANGE' });
  assert.throws(() => child.getOneMessage({ signal: {} }), { code: 'ERR_INVALID_ARG_TYPE' });
}, { program: 'fork/echo' }));

test('getEachMessage gives every message, then ends with the channel', () => withChild(async (child) => {
  let expected = 0;
  for await (const { n } of child.getEachMessage()) assert.strictEqual(n, ++expected);
  assert.strictEqual(expected, 5_000);
  assert.strictEqual(child.listenerCount('message') + child.listenerCount('disconnect'), 0);
}, { program: 'fork/say', args: ['5000'] }));

test('getEachMessage gives early messages too', () => withChild(async (child) => {
  await happened(child, 'exit');
  await barrier();
  const got = [];
  for await (const { n } of child.getEachMessage({ filter: ({ n: number }) => number % 2 === 0 })) got.push(n);
  assert.deepStrictEqual(got, [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]);
}, { program: 'fork/say', args: ['20'] }));

test('a slow reader of getEachMessage loses nothing', () => withChild(async (child) => {
  let expected = 0;
  for await (const { n } of child.getEachMessage()) {
    assert.strictEqual(n, ++expected);
    if (n % 500 === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.strictEqual(expected, 4_000);
}, { program: 'fork/say', args: ['4000'] }));

test('leaving the loop leaves the channel as it was', () => withChild(async (child) => {
  for await (const message of child.getEachMessage()) {
    if (message === 1) break;
  }
  assert.strictEqual(child.listenerCount('message'), 0);
  assert.strictEqual(child.connected, true);
  child.send('again');
  assert.strictEqual(await child.getOneMessage({ filter: (message) => message === 'again' }), 'again');
}, { program: 'fork/say-then-stay', args: ['3'] }));

test('signal ends the loop with an AbortError', () => withChild(async (child) => {
  const controller = new AbortController();
  child.send('first');
  await assert.rejects(async () => {
    for await (const message of child.getEachMessage({ signal: controller.signal })) {
      assert.strictEqual(message, 'first');
      controller.abort();
    }
  }, { name: 'AbortError' });
}, { program: 'fork/echo' }));

test('two loops see the same messages', () => withChild(async (child) => {
  const read = async () => {
    const got = [];
    for await (const { n } of child.getEachMessage()) got.push(n);
    return got;
  };
  const [one, two] = await Promise.all([read(), read()]);
  assert.deepStrictEqual([one.length, two], [100, one]);
}, { program: 'fork/say', args: ['100'] }));

for (const how of ['break', 'abort']) {
  test(`what a loop has taken and not given out goes to the next listener (${how})`, () => withChild(async (child) => {
    const controller = new AbortController();
    const seen = [];
    try {
      for await (const { n } of child.getEachMessage({ signal: controller.signal })) {
        seen.push(n);
        if (n === 1) await new Promise((resolve) => setTimeout(resolve, 200)); // the rest has come meanwhile
        if (n === 3 && how === 'abort') controller.abort();
        else if (n === 3) break;
      }
    } catch (error) {
      assert.strictEqual(error.code, 'ABORT_ERR');
    }
    for (let n = seen.at(-1) + 1; n <= 40; n++) assert.strictEqual((await child.getOneMessage()).n, n);
  }, { program: 'fork/say', args: ['40'] }));
}
