'use strict';
// Topics: what is published arrives where somebody has subscribed, and what holds for those who are slow or late.

const { test } = require('node:test');
const assert = require('node:assert');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { PLACES } = require('../endpoint/places.js');
const { openBus, serve } = require('../../index.js');

leavesNothing();

async function members(t, count, endpoint = PLACES['rsipc:'](t), options = {}) {
  const all = [];
  for (let index = 0; index < count; index++) {
    const bus = await openBus(endpoint, options);
    t.after(() => bus.close());
    all.push(bus);
  }
  return all;
}

for (const place of ['rsipc:', 'unix:']) {
  test(`${place} the first is the broker, and all hear what any of them publishes`, async (t) => {
    const all = await members(t, 3, PLACES[place](t));
    assert.deepStrictEqual(all.map((bus) => bus.isBroker), [true, false, false]);
    const heard = [[], [], []];
    for (const [index, bus] of all.entries()) await bus.subscribe('a.b', (message, topic) => heard[index].push([topic, message]));
    for (const [index, bus] of all.entries()) await bus.publish('a.b', new Map([[index, 1n]]));
    const expected = [0, 1, 2].map((index) => ['a.b', new Map([[index, 1n]])]);
    await until(() => heard.every(({ length }) => length === 3), 'all messages');
    for (const one of heard) assert.deepStrictEqual(one, expected);
  });
}

test('patterns match by level', async (t) => {
  const [bus] = await members(t, 1);
  const heard = {};
  for (const pattern of ['orders.new', 'orders.*', 'orders.**', '*.new', '**', '*.*.x']) {
    heard[pattern] = [];
    await bus.subscribe(pattern, (message, topic) => heard[pattern].push(topic));
  }
  for (const topic of ['orders', 'orders.new', 'orders.new.x', 'users.new', 'orders.old']) await bus.publish(topic);
  await bus.publish('end');
  await until(() => heard['**'].includes('end'), 'the last message');
  assert.deepStrictEqual(heard, {
    'orders.new': ['orders.new'],
    'orders.*': ['orders.new', 'orders.old'],
    'orders.**': ['orders.new', 'orders.new.x', 'orders.old'],
    '*.new': ['orders.new', 'users.new'],
    '**': ['orders', 'orders.new', 'orders.new.x', 'users.new', 'orders.old', 'end'],
    '*.*.x': ['orders.new.x'],
  });
});

test('unsubscribe ends what it names and nothing else', async (t) => {
  const [bus] = await members(t, 1);
  const heard = [];
  const first = () => heard.push('first');
  await bus.subscribe('x', first);
  const second = await bus.subscribe('x', () => heard.push('second'));
  await bus.subscribe('y', () => heard.push('y'));
  assert.strictEqual(bus.unsubscribe('x', first), 1);
  bus.publish('x');
  await bus.publish('y');
  await until(() => heard.includes('y'), 'y');
  assert.strictEqual(second.unsubscribe(), 1);
  assert.strictEqual(second.active, false);
  assert.strictEqual(bus.unsubscribe('x'), 0);
  bus.publish('x');
  await bus.publish('y');
  await until(() => heard.length === 3, 'the second y');
  assert.deepStrictEqual(heard, ['second', 'y', 'y']);
});

test('the last value of a topic is there for who asks for it, until it is taken back', async (t) => {
  const [one, two] = await members(t, 2);
  await one.publish('state.a', 1, { retain: true });
  await one.publish('state.a', 2, { retain: true });
  await one.publish('state.b', 'gone', { retain: true });
  await one.publish('state.b', undefined, { retain: true });
  await one.publish('state.c', 'never kept');
  const heard = [];
  const without = [];
  await two.subscribe('state.*', (message, topic) => heard.push([topic, message]), { retained: true });
  await two.subscribe('state.*', (message, topic) => without.push([topic, message]));
  await one.publish('state.d', 4);
  await until(() => heard.length === 2 && without.length === 1, 'the messages');
  assert.deepStrictEqual(heard, [['state.a', 2], ['state.d', 4]]);
  assert.deepStrictEqual(without, [['state.d', 4]]);
});

test('no more values are retained than maxRetained', async (t) => {
  const [bus] = await members(t, 1, undefined, { maxRetained: 2 });
  for (const topic of ['a', 'b', 'a', 'c']) await bus.publish(topic, topic, { retain: true });
  const heard = [];
  await bus.subscribe('*', (message) => heard.push(message), { retained: true });
  await bus.publish('end');
  await until(() => heard.length === 3, 'the messages');
  assert.deepStrictEqual(heard, ['a', 'c', undefined]);
});

test('what is wrong with the arguments is said at once', async (t) => {
  await assert.rejects(openBus(1), { code: 'ERR_INVALID_ARG_TYPE' });
  await assert.rejects(openBus('tcp://127.0.0.1:1'), { code: 'ERR_INVALID_ARG_VALUE' });
  await assert.rejects(openBus('rsipc:../x'), { code: 'ERR_RSIPC_INVALID_ENDPOINT' });
  await assert.rejects(openBus('rsipc:x', { maxRetained: -1 }), { code: 'ERR_OUT_OF_RANGE' });
  const [bus] = await members(t, 1);
  for (const topic of ['', 'a..b', '.a', 'a.*', 'x'.repeat(1_025)]) assert.throws(() => bus.publish(topic, 1), { code: 'ERR_INVALID_ARG_VALUE' });
  for (const pattern of ['', 'a.', '**.a', 'a*', '***']) assert.throws(() => bus.subscribe(pattern, () => {}), { code: 'ERR_INVALID_ARG_VALUE' });
  assert.throws(() => bus.publish(1, 1), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => bus.publish('x', 1, { retain: 1 }), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => bus.publish('x', () => {}), /could not be cloned/);
  assert.throws(() => bus.publish('x', Buffer.alloc(64 * 1024 * 1024)), { code: 'ERR_RSIPC_MESSAGE_TOO_LARGE' });
  assert.throws(() => bus.subscribe('x'), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => bus.subscribe('x', () => {}, { policy: 'block' }), { code: 'ERR_INVALID_ARG_VALUE' });
  assert.throws(() => bus.subscribe('x', () => {}, { max: 0 }), { code: 'ERR_OUT_OF_RANGE' });
});

test('a server that is no bus is told apart', async (t) => {
  const endpoint = PLACES['unix:'](t);
  const json = await serve(endpoint);
  await assert.rejects(openBus(endpoint), { code: 'ERR_RSIPC_CODEC' });
  await json.close();
  const raw = await serve(endpoint, { codec: 'raw' });
  t.after(() => raw.close());
  raw.on('connection', (connection) => connection.on('message', () => connection.send(Buffer.from('what?'))));
  await assert.rejects(openBus(endpoint), { code: 'ERR_RSIPC_NOT_RSIPC' });
});

test('who says what no bus says is disconnected, and the others go on', async (t) => {
  const { connect } = require('../../index.js');
  const { encode, KINDS } = require('../../lib/bus/wire.js');
  const [bus] = await members(t, 1);
  const hello = encode(KINDS.HELLO, { version: 1, id: 'x' });
  for (const bytes of [
    [Buffer.alloc(0)], [Buffer.from([4])], [Buffer.from([1, 255, 255, 255, 255])], [encode(KINDS.HELLO, null)], [encode(KINDS.PUBLISH, { topic: 'x', seq: 1 })],
    [hello, hello], [hello, encode(99, {})], [hello, encode(KINDS.PUBLISH, { topic: '*', seq: 1 })], [hello, encode(KINDS.PUBLISH, { topic: 'x' })],
    [hello, encode(KINDS.SUBSCRIBE, { ref: 1, pattern: 'a**', policy: 'disconnect', max: 1 })], [hello, encode(KINDS.SUBSCRIBE, { ref: 1, pattern: 'a', policy: 'x', max: 1 })],
    [hello, encode(KINDS.KEEP, { topic: 'x', stamp: '1' })],
  ]) {
    const stranger = await connect(bus.endpoint, { codec: 'raw' });
    const closed = happened(stranger, 'close');
    for (const one of bytes) stranger.send(one);
    await closed;
  }
  await bus.publish('x', 1);
});

test('a body that cannot be read is told, and costs nothing else', async (t) => {
  const { connect } = require('../../index.js');
  const { encode, KINDS } = require('../../lib/bus/wire.js');
  const [bus] = await members(t, 1);
  const heard = [];
  await bus.subscribe('x', (message) => heard.push(message));
  const stranger = await connect(bus.endpoint, { codec: 'raw' });
  t.after(() => stranger.destroy());
  const unreadable = happened(bus, 'messageError');
  stranger.send(encode(KINDS.HELLO, { version: 1, id: 'x' }));
  stranger.send(encode(KINDS.PUBLISH, { topic: 'x', seq: 1 }, Buffer.from('no value')));
  assert.strictEqual((await unreadable)[1], 'x');
  await bus.publish('x', 1);
  await until(() => heard.length === 1, 'the next message');
  assert.deepStrictEqual(heard, [1]);
});

// A member whose connection nobody reads, with what it is sent when it is read again.
async function stalled(t, bus, asked) {
  const { connect } = require('../../index.js');
  const { encode, decode, KINDS } = require('../../lib/bus/wire.js');
  const slow = await connect(bus.endpoint, { codec: 'raw' });
  t.after(() => slow.destroy());
  const frames = [];
  slow.on('message', (bytes) => frames.push(decode(bytes)));
  slow.send(encode(KINDS.HELLO, { version: 1, id: 'slow' }));
  slow.send(encode(KINDS.SUBSCRIBE, { ref: 1, pattern: 'x', retained: false, ...asked }));
  await until(() => frames.length === 2, 'the subscription');
  slow.pause();
  return { slow, frames };
}

const LOAD = Buffer.alloc(64 * 1024);
const LOADS = 200;

test('who is slow misses the oldest and is told how many, and nobody waits for it', async (t) => {
  const { KINDS } = require('../../lib/bus/wire.js');
  const [bus] = await members(t, 1);
  const { slow, frames } = await stalled(t, bus, { policy: 'drop-oldest', max: 10 });
  let quick = 0;
  await bus.subscribe('x', () => quick++, { max: LOADS });
  for (let index = 0; index < LOADS; index++) await bus.publish('x', LOAD);
  await until(() => quick === LOADS, 'the messages of the quick one');
  slow.resume();
  await until(() => frames.at(-1).head.seq === LOADS, 'the newest message');
  const messages = frames.filter(({ kind }) => kind === KINDS.MESSAGE);
  const dropped = messages.reduce((sum, frame) => sum + frame.dropped, 0);
  assert.ok(dropped > 0);
  assert.strictEqual(messages.length + dropped, LOADS);
});

test('a subscription of policy \'disconnect\' that is slow is ended', async (t) => {
  const { KINDS } = require('../../lib/bus/wire.js');
  const [bus] = await members(t, 1);
  const { slow, frames } = await stalled(t, bus, { policy: 'disconnect', max: 10 });
  for (let index = 0; index < LOADS; index++) await bus.publish('x', LOAD);
  slow.resume();
  await until(() => frames.at(-1).kind === KINDS.ENDED, 'the end');
  const messages = frames.filter(({ kind }) => kind === KINDS.MESSAGE);
  assert.deepStrictEqual(messages.map(({ head }) => head.seq), messages.map((_, index) => index + 1)); // without a gap
  assert.ok(frames.at(-1).head.dropped > 10);
});

test('a listener that throws costs no other message', async (t) => {
  const [bus] = await members(t, 1);
  const heard = [];
  // The test runner's own listeners would take it for a failure.
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  t.after(() => {
    for (const other of others) process.on('uncaughtException', other);
  });
  const thrown = new Promise((resolve) => process.once('uncaughtException', resolve));
  await bus.subscribe('x', (message) => {
    if (message === 1) throw new Error('of a listener');
    heard.push(message);
  });
  for (const message of [1, 2, 3]) bus.publish('x', message);
  assert.strictEqual((await thrown).message, 'of a listener');
  await until(() => heard.length === 2, 'the others');
  assert.deepStrictEqual(heard, [2, 3]);
});

test('close waits for what was published, and what comes later is refused', async (t) => {
  const [one, two] = await members(t, 2);
  const heard = [];
  await one.subscribe('x', (message) => heard.push(message));
  const taken = two.publish('x', 1);
  await two.close();
  await taken;
  await until(() => heard.length === 1, 'the message');
  await assert.rejects(two.publish('x', 2), { code: 'ERR_RSIPC_CLOSED' });
  await assert.rejects(two.subscribe('x', () => {}), { code: 'ERR_RSIPC_CLOSED' });
  await two[Symbol.asyncDispose]();
});
