'use strict';
// Arguments of what rsipc adds to a channel.

const assert = require('node:assert');
const { constants } = require('node:buffer');
const { test } = require('node:test');
const { rsipc, fixture, ROOT } = require('../helpers/modules.js');
const { leavesNothing } = require('../helpers/leavings.js');
const { withChild } = require('../helpers/with-child.js');
const { nativeOptions } = require(`${ROOT}/lib/fork/settings.js`);

leavesNothing();

const TYPE = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
const RANGE = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' };

test('options that are no object are told apart from options', () => withChild(async (child) => {
  for (const options of [null, 1, 'text', [], () => {}]) {
    await assert.rejects(child.request('x', options), TYPE);
    assert.throws(() => child.channel.ready(options), TYPE);
    assert.throws(() => child.channel.flushSync(options), TYPE);
    await assert.rejects(async () => child.getOneMessage(options), TYPE);
    await assert.rejects(child.getEachMessage(options).next(), TYPE);
    assert.throws(() => rsipc.flushOnSignals([], options), TYPE);
  }
}));

test('a deadline is a number of milliseconds from 0 on', () => withChild(async (child) => {
  for (const flush of [(options) => child.channel.flushSync(options), (options) => rsipc.flushOnSignals([], options)]) {
    for (const deadline of [null, '1', {}]) assert.throws(() => flush({ deadline }), TYPE);
    for (const deadline of [-1, NaN]) assert.throws(() => flush({ deadline }), RANGE);
    for (const deadline of [undefined, 0, 0.5, Infinity]) flush({ deadline });
  }
}));

test('sizes and counts are whole numbers', () => {
  const fork = (options) => rsipc.fork(fixture('fork/stay'), [], options);
  for (const name of ['maxMessageSize', 'maxDepth', 'maxEarlyBytes', 'highWaterMark']) {
    for (const value of [1.5, -1, NaN]) assert.throws(() => fork({ [name]: value }), RANGE, `${name} ${value}`);
  }
  for (const name of ['bytes', 'messages']) {
    for (const value of [1.5, 0, NaN]) assert.throws(() => fork({ highWaterMark: { [name]: value } }), RANGE, `${name} ${value}`);
  }
});

test('sizes without an end are allowed where nothing is allocated for them', () => withChild(async (child) => {
  assert.strictEqual(await child.request({ what: 'echo', value: 1 }), 1);
  assert.strictEqual(child.send('x'.repeat(1_000_000)), true);
}, { maxEarlyBytes: Infinity, highWaterMark: { bytes: Infinity, messages: Infinity } }));

test('no JSON message is taken that a string cannot hold, however large messages may be', () => {
  const limit = (serialization) => nativeOptions({ serialization, maxMessageSize: 2 ** 32 - 1 }).maxMessageSize;
  assert.ok(limit('json') < constants.MAX_STRING_LENGTH);
  assert.strictEqual(limit('advanced'), 2 ** 32 - 1);
});

test('a callback beside a receipt is called with what comes of the receipt', () => withChild(async (child) => {
  await child.request({ what: 'listen' });
  const called = (...args) => new Promise((resolve) => child.send(...args, resolve));
  assert.strictEqual(await called('x', undefined, { receipt: true }), null);
  assert.strictEqual((await called('x', undefined, { receipt: true, timeout: 'x' })).code, 'ERR_INVALID_ARG_TYPE');
  assert.deepStrictEqual((await child.request({ what: 'heard' })).map(([message]) => message), ['x']);
}));
