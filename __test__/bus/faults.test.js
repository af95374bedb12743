'use strict';
// What goes wrong beside a bus: listeners that throw, a broker that says nonsense, more than can be on its way.

const { test } = require('node:test');
const assert = require('node:assert');
const { leavesNothing } = require('../helpers/leavings.js');
const { thrown } = require('../helpers/thrown.js');
const { happened } = require('../helpers/wait.js');
const { PLACES } = require('../endpoint/places.js');
const { VERSION, KINDS, encode, decode } = require('../../lib/bus/wire.js');
const { BroadcastChannel, openBus, serve } = require('../../index.js');

leavesNothing();

test('a listener of \'disconnect\' that throws does not keep a member from coming back', async (t) => {
  const endpoint = PLACES['rsipc:'](t);
  const first = await openBus(endpoint);
  const second = await openBus(endpoint);
  t.after(() => second.close());
  const texts = thrown(t);
  second.on('disconnect', () => {
    throw new Error('of the end');
  });
  const back = happened(second, 'reconnect');
  await first.close();
  await back;
  assert.deepStrictEqual(texts, ['of the end']);
  await second.publish('a', 1);
});

for (const stamps of [[1], [null], 'x', [[1]], { length: 1 }]) {
  test(`a broker whose stamps are ${JSON.stringify(stamps)} ends no member's process`, async (t) => {
    const server = await serve(PLACES['rsipc:'](t), { codec: 'raw' });
    t.after(() => server.close({ timeout: 500 }));
    server.on('connection', (member) => member.on('message', (bytes) => {
      const { kind } = decode(bytes);
      if (kind === KINDS.HELLO) member.send(encode(KINDS.WELCOME, { version: VERSION }));
      if (kind === KINDS.PUBLISH) {
        member.send(encode(KINDS.TAKEN, { seq: 0, stamps }));
        member.send(encode(KINDS.TAKEN, { seq: 1 }));
      }
    }));
    const texts = thrown(t);
    const bus = await openBus(server.address());
    t.after(() => bus.close());
    await bus.publish('a', 1);
    assert.deepStrictEqual(texts, []);
  });
}

test('more than can be on its way, and what comes behind the end, ends no process that did not wait', async (t) => {
  const unhandled = [];
  const told = (error) => unhandled.push(error.code);
  process.on('unhandledRejection', told);
  t.after(() => process.removeListener('unhandledRejection', told));
  const warned = happened(process, 'warning');
  const channel = new BroadcastChannel('too-much');
  for (let i = 0; i < 66_000; i++) channel.postMessage(i);
  assert.strictEqual((await warned)[0].code, 'RSIPC_BROADCAST');
  channel.close();
  const bus = await openBus(PLACES['rsipc:'](t));
  await bus.close();
  bus.publish('a', 1);
  bus.subscribe('a', () => {});
  await new Promise(setImmediate);
  assert.deepStrictEqual(unhandled, []);
});
