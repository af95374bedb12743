'use strict';
// request() and onRequest(): a question, an answer, and errors carried across.

const assert = require('node:assert');
const { test } = require('node:test');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened } = require('../helpers/wait.js');
const { withChild } = require('../helpers/with-child.js');

leavesNothing();

for (const serialization of ['json', 'advanced']) {
  test(`a request resolves with what the handler returns (${serialization})`, () => withChild(async (child) => {
    assert.strictEqual(await child.request({ what: 'add', a: 1, b: 2 }), 3);
    assert.deepStrictEqual(await child.request({ what: 'echo', value: { deep: [1, { 2: null }], text: 'ä漢' } }), { deep: [1, { 2: null }], text: 'ä漢' });
    assert.strictEqual(await child.request({ what: 'nothing' }), undefined);
    assert.strictEqual(await child.request({ what: 'echo', value: null }), null);
  }, { serialization }));
}

test('advanced values cross in requests and replies', () => withChild(async (child) => {
  const value = new Map([[1n, new Set([new Date(0)])]]);
  assert.deepStrictEqual(await child.request({ what: 'echo', value }), value);
}, { serialization: 'advanced' }));

test('an error of the handler arrives with name, code, message and stack', () => withChild(async (child) => {
  await assert.rejects(child.request({ what: 'fail' }), (error) => {
    assert.ok(error instanceof Error);
    assert.strictEqual(error.name, 'NoSuchThing');
    assert.strictEqual(error.code, 'ERR_NO_SUCH_THING');
    assert.strictEqual(error.message, 'no such thing');
    assert.match(error.stack, /ours\.js/);
    assert.match(error.stack, /at the child \(pid \d+\)/);
    return true;
  });
  await assert.rejects(child.request({ what: 'failType' }), (error) => error instanceof TypeError && error.message === 'wrong type');
  await assert.rejects(child.request({ what: 'failValue' }), { code: 'ERR_RSIPC_REMOTE', message: /just text/ });
}));

test('an answer that cannot be serialized is an error of the request', () => withChild(async (child) => {
  await assert.rejects(child.request({ what: 'unserializable' }), TypeError);
  assert.strictEqual(await child.request({ what: 'echo', value: 'still works' }), 'still works');
}));

test('a question that cannot be serialized rejects and costs nothing else', () => withChild(async (child) => {
  await assert.rejects(child.request({ n: 1n }), TypeError);
  assert.strictEqual(await child.request({ what: 'echo', value: 1 }), 1);
}));

test('a thousand requests at once get their own answers', () => withChild(async (child) => {
  const answers = await Promise.all(Array.from({ length: 1_000 }, (_, i) => child.request({ what: i % 50 === 0 ? 'later' : 'echo', value: i, after: i % 7 })));
  assert.deepStrictEqual(answers, Array.from({ length: 1_000 }, (_, i) => i));
}));

test('answers come as they are ready, not in the order of the questions', () => withChild(async (child) => {
  const order = [];
  await Promise.all([
    child.request({ what: 'later', value: 'slow', after: 200 }).then((value) => order.push(value)),
    child.request({ what: 'echo', value: 'fast' }).then((value) => order.push(value)),
  ]);
  assert.deepStrictEqual(order, ['fast', 'slow']);
}));

test('the child can ask the parent', () => withChild(async (child) => {
  child.onRequest(async ({ question }) => `the parent answers ${question}`);
  assert.strictEqual(await child.request({ what: 'ask', of: { question: 'why' } }), 'the parent answers why');
  child.onRequest(() => { throw Object.assign(new Error('not now'), { code: 'ERR_LATER' }); });
  await assert.rejects(child.request({ what: 'ask', of: {} }), { code: 'ERR_LATER', message: 'not now' });
}));

test('an unanswered request rejects after its timeout, and the handler is told', () => withChild(async (child) => {
  const started = Date.now();
  await child.request({ what: 'echo', value: 'hello' });
  await assert.rejects(child.request({ what: 'never' }, { timeout: 50 }), { code: 'ERR_RSIPC_TIMEOUT' });
  assert.ok(Date.now() - started >= 49);
  assert.strictEqual(await child.request({ what: 'aborted' }), 1);
}));

test('an aborted request rejects with an AbortError, and the handler is told', () => withChild(async (child) => {
  await child.request({ what: 'echo', value: 'hello' });
  const controller = new AbortController();
  const asked = child.request({ what: 'never' }, { signal: controller.signal });
  await child.request({ what: 'echo', value: 'behind it' });
  controller.abort(new Error('enough'));
  await assert.rejects(asked, { name: 'AbortError', code: 'ABORT_ERR' });
  assert.strictEqual(await child.request({ what: 'aborted' }), 1);
  await assert.rejects(child.request({ what: 'echo', value: 1 }, { signal: AbortSignal.abort() }), { name: 'AbortError' });
}));

test('every request that waits rejects when the child dies', () => withChild(async (child) => {
  await child.request({ what: 'echo', value: 'hello' });
  const asked = Array.from({ length: 20 }, () => child.request({ what: 'never' }));
  const outcomes = Promise.allSettled(asked);
  await assert.rejects(child.request({ what: 'die' }), { code: 'ERR_RSIPC_PEER_GONE' });
  for (const { status, reason } of await outcomes) {
    assert.strictEqual(status, 'rejected');
    assert.strictEqual(reason.code, 'ERR_RSIPC_PEER_GONE');
  }
  await assert.rejects(child.request({ what: 'echo' }), { code: 'ERR_RSIPC_PEER_GONE' });
}));

test('requests reject when the channel is disconnected here', () => withChild(async (child) => {
  await child.request({ what: 'echo', value: 'hello' });
  const asked = child.request({ what: 'never' });
  child.disconnect();
  await assert.rejects(asked, { code: 'ERR_RSIPC_PEER_GONE' });
}));

test('a peer without a handler answers that it has none', () => withChild(async (child) => {
  await assert.rejects(child.request({ what: 'echo' }), { code: 'ERR_RSIPC_NO_HANDLER', message: /onRequest/ });
}, { args: ['silent'] }));

test('a plain child is told apart by a clear error that names the way out', () => withChild(async (child) => {
  await assert.rejects(child.request({ what: 'echo' }, { timeout: 100 }), (error) => {
    assert.strictEqual(error.code, 'ERR_RSIPC_PLAIN_PEER');
    assert.match(error.message, /rsipc\/register/);
    return true;
  });
  const [message] = await Promise.all([happened(child, 'message'), child.send('plain traffic goes on')]);
  assert.deepStrictEqual(message, ['plain traffic goes on', undefined]);
}, { program: 'fork/echo', transport: 'socket' }));

test('options of request are checked', () => withChild(async (child) => {
  await assert.rejects(child.request(1, { timeout: 'long' }), { code: 'ERR_INVALID_ARG_TYPE' });
  await assert.rejects(child.request(1, { timeout: -1 }), { code: 'ERR_OUT_OF_RANGE' });
  await assert.rejects(child.request(1, { signal: 5 }), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => child.onRequest('no function'), { code: 'ERR_INVALID_ARG_TYPE' });
}));

test('requests are seen by no message listener', () => withChild(async (child) => {
  const messages = [];
  child.on('message', (message) => messages.push(message));
  await child.request({ what: 'echo', value: 1 });
  assert.deepStrictEqual(messages, []);
}));
