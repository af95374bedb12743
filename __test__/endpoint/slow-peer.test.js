'use strict';
// A peer that does not read: what is sent to it waits, is refused, makes room, or ends the connection.

const { test } = require('node:test');
const assert = require('node:assert');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { pair } = require('./places.js');

leavesNothing();

const BODY = 'x'.repeat(10_000);
const MARK = 200_000;

async function fill(connection) {
  for (let i = 0; i < 2_000 && connection.queued <= MARK; i++) {
    connection.send(BODY);
    await new Promise(setImmediate);
  }
}

test('wait: send resolves when there is room again, and the outbox is bounded', async (t) => {
  const { client, accepted } = await pair(t, { client: { highWaterMark: MARK, maxOutbox: 1_000_000 } });
  accepted.pause();
  let taken = 0;
  const last = [];
  for (; taken < 2_000; taken++) {
    const room = client.send(BODY);
    const full = await Promise.race([room.then(() => false), new Promise((resolve) => setTimeout(resolve, 100, true))]);
    if (full) {
      last.push(room);
      break;
    }
  }
  assert.ok(taken < 2_000);
  // Who does not wait is refused in the end.
  let refused;
  for (let i = 0; i < 1_000 && refused === undefined; i++) {
    client.send(BODY).catch((error) => { refused = error; });
    await new Promise(setImmediate);
  }
  assert.strictEqual(refused.code, 'ERR_RSIPC_OUTBOX_FULL');
  assert.ok(client.queued <= 1_100_000, String(client.queued));
  const drained = happened(client, 'drain');
  accepted.resume();
  accepted.on('message', () => {});
  await Promise.all([...last, drained, client.ready()]);
});

test('error: send above the mark is refused', async (t) => {
  const { client, accepted } = await pair(t, { client: { highWaterMark: MARK, slowPeer: 'error' } });
  accepted.pause();
  await fill(client);
  await assert.rejects(client.send(BODY), { code: 'ERR_RSIPC_OUTBOX_FULL' });
  assert.strictEqual(client.connected, true);
});

test('close: the connection ends', async (t) => {
  const { client, accepted } = await pair(t, { client: { highWaterMark: MARK, slowPeer: 'close' } });
  accepted.pause();
  const closed = happened(client, 'close');
  await fill(client);
  client.send(BODY);
  assert.strictEqual((await closed)[0].code, 'ERR_RSIPC_OUTBOX_FULL');
});

test('drop-oldest: the newest messages arrive, and the dropped ones are counted', async (t) => {
  const { client, accepted } = await pair(t, { client: { highWaterMark: MARK, slowPeer: 'drop-oldest' } });
  accepted.pause();
  const total = 3_000;
  for (let number = 0; number < total; number++) {
    client.send({ number, body: BODY });
    if (number % 20 === 0) await new Promise(setImmediate);
  }
  assert.ok(client.dropped > 0);
  const got = [];
  accepted.on('message', ({ number }) => got.push(number));
  accepted.resume();
  await until(() => got.at(-1) === total - 1, 'the newest has come');
  assert.deepStrictEqual(got, [...got].sort((a, b) => a - b));
  assert.strictEqual(got.length, total - client.dropped);
});

test('broadcast to one who does not read costs the others nothing', async (t) => {
  const { server, client, accepted, endpoint } = await pair(t, { server: { highWaterMark: MARK, slowPeer: 'drop-oldest' } });
  const { connect } = require('../../index.js');
  const other = await connect(endpoint);
  t.after(() => other.destroy());
  await until(() => server.connections.size === 2, 'both are connected');
  client.pause();
  let got = 0;
  other.on('message', ({ number }) => {
    assert.strictEqual(number, got);
    got++;
  });
  for (let number = 0; number < 2_000; number++) {
    server.broadcast({ number, body: BODY });
    if (number % 10 === 0) await new Promise(setImmediate);
    while (number - got > 100) await new Promise(setImmediate);
  }
  await until(() => got === 2_000, 'one has all');
  assert.ok(accepted.dropped > 0);
});
