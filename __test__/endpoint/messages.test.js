'use strict';
// Messages and those who listen to them.

const { test } = require('node:test');
const assert = require('node:assert');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { CODECS, pair } = require('./places.js');

leavesNothing();

for (const codec of ['json', 'v8']) {
  test(`a listener that throws costs no other message (${codec})`, async (t) => {
    const { client, accepted } = await pair(t, { codec });
    const got = [];
    const thrown = [];
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => thrown.push(error.message));
    t.after(() => {
      process.removeAllListeners('uncaughtException');
      for (const other of others) process.on('uncaughtException', other);
    });
    accepted.on('message', (message) => {
      got.push(message);
      if (message % 10 === 0) throw new Error(`at ${message}`);
    });
    for (let i = 0; i < 100; i++) client.send(i);
    await until(() => got.length === 100, 'all have come');
    assert.deepStrictEqual(got, Array.from({ length: 100 }, (_, i) => i));
    assert.deepStrictEqual(thrown, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90].map((i) => `at ${i}`));
  });
}

test('messages that come before anybody listens are kept in their order', async (t) => {
  const { client, accepted } = await pair(t);
  for (let i = 0; i < 100; i++) accepted.send(i);
  await accepted.request('none').catch(() => {}); // answered behind them
  const got = [];
  client.on('message', (message) => got.push(message));
  accepted.send(100);
  await until(() => got.length === 101, 'all have come');
  assert.deepStrictEqual(got, Array.from({ length: 101 }, (_, i) => i));
});

test('what nobody ever listens for does not fill the memory, and requests go on', async (t) => {
  const { server, client, accepted } = await pair(t, { client: { maxEarlyBytes: 10_000 } });
  const warned = happened(process, 'warning');
  server.handle('ping', () => 'pong');
  for (let i = 0; i < 1_000; i++) accepted.send('x'.repeat(100));
  assert.strictEqual(await client.request('ping'), 'pong');
  assert.strictEqual((await warned)[0].code, 'RSIPC_UNHEARD');
  assert.ok(client.unheard > 800, String(client.unheard));
});

test('for await gives every message at its own pace, and the connection is not read meanwhile', async (t) => {
  const { client, accepted } = await pair(t, { server: { highWaterMark: 100_000 } });
  const body = 'x'.repeat(1_000);
  let sent = 0;
  const sending = (async () => {
    for (; sent < 20_000; sent++) await accepted.send(body);
    await accepted.close();
  })();
  let read = 0;
  for await (const message of client) {
    assert.strictEqual(message, body);
    if (++read === 1) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      assert.ok(sent < 15_000, `${sent} were taken from a sender that nobody reads`);
    }
  }
  await sending;
  assert.strictEqual(read, 20_000);
});

test('leaving for await gives what was read to the next one', async (t) => {
  const { client, accepted } = await pair(t);
  for (let i = 0; i < 10; i++) accepted.send(i);
  const got = [];
  for await (const message of client) if (got.push(message) === 4) break;
  for await (const message of client) if (got.push(message) === 10) break;
  assert.deepStrictEqual(got, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test('a listener for one message leaves the next ones to others', async (t) => {
  const { client, accepted } = await pair(t);
  for (let i = 0; i < 4; i++) accepted.send(i);
  accepted.send('end');
  for (let i = 0; i < 4; i++) assert.deepStrictEqual(await happened(client, 'message'), [i]);
  client.once('message', () => client.destroy());
  await happened(client, 'close');
});

test('what came before a connection ended is there for who listens only then', async (t) => {
  for (const read of [readAll, (connection) => new Promise((resolve) => {
    let count = 0;
    connection.on('message', () => ++count === 3 && resolve(count));
  })]) {
    const { client, accepted } = await pair(t);
    for (let i = 0; i < 3; i++) client.send(i);
    await client.close();
    assert.strictEqual(accepted.closed, true);
    assert.strictEqual(await read(accepted), 3);
  }
});

async function readAll(connection) {
  let count = 0;
  for await (const message of connection) count += Number(message !== undefined);
  return count;
}

test('for await ends with the connection, and throws when it broke', async (t) => {
  const first = await pair(t);
  const ended = readAll(first.client);
  await first.accepted.close();
  await ended;
  const second = await pair(t);
  const broken = readAll(second.client);
  second.accepted.destroy();
  await assert.rejects(broken, { code: 'ERR_RSIPC_PEER_GONE' });
});

test('broadcast goes to all, in order with what is sent to one', async (t) => {
  const { server, client, accepted, endpoint } = await pair(t);
  const { connect } = require('../../index.js');
  const other = await connect(endpoint);
  t.after(() => other.destroy());
  await until(() => server.connections.size === 2, 'both are connected');
  const got = new Map([[client, []], [other, []]]);
  for (const [one, list] of got) one.on('message', (message) => list.push(message));
  accepted.send(1);
  assert.strictEqual(server.broadcast(2), 2);
  accepted.send(3);
  server.broadcast(4);
  server.broadcast(5);
  await until(() => got.get(client).length === 5 && got.get(other).length === 3, 'all have come');
  assert.deepStrictEqual([got.get(client), got.get(other)], [[1, 2, 3, 4, 5], [2, 4, 5]]);
});

test('both ends are told by the kernel who the other is', async (t) => {
  const { client, accepted } = await pair(t);
  const self = { pid: process.pid, uid: process.getuid(), gid: process.getgid() };
  assert.deepStrictEqual({ ...client.peer }, self);
  assert.deepStrictEqual({ ...accepted.peer }, self);
});

test('what has no form in the codec is thrown and costs nothing else', async (t) => {
  const { client, accepted } = await pair(t);
  const got = [];
  accepted.on('message', (message) => got.push(message));
  client.send(1);
  assert.throws(() => client.send(undefined), { code: 'ERR_RSIPC_NOT_SERIALIZABLE' });
  assert.throws(() => client.send(1n), TypeError);
  client.send(2);
  await until(() => got.length === 2, 'both have come');
  assert.deepStrictEqual(got, [1, 2]);
});

test('send tells a callback, and rejects where nobody is', async (t) => {
  const { client } = await pair(t);
  await new Promise((resolve, reject) => client.send('x', (error) => (error === null ? resolve() : reject(error))));
  await client.close();
  client.send('nobody waits for this one, and the process lives');
  await assert.rejects(client.send('x'), { code: 'ERR_RSIPC_CLOSED' });
  await assert.rejects(new Promise((resolve, reject) => client.send('x', reject)), { code: 'ERR_RSIPC_CLOSED' });
});

for (const [codec, { make }] of Object.entries(CODECS)) {
  test(`what there is room for is taken at once, and who sends without an end leaves others their turns (${codec})`, async (t) => {
    const { client, accepted } = await pair(t, { codec });
    accepted.on('message', () => {});
    let turns = 0;
    setImmediate(() => turns++);
    await client.send(make(0));
    assert.strictEqual(turns, 0);
    for (let number = 1; turns === 0; number++) {
      assert.ok(number < 100_000);
      await client.send(make(number));
    }
  });
}

test('a connection that is unreferenced lets the process end', () => {
  const { spawnSync } = require('node:child_process');
  const program = `
    const { serve, connect } = require(${JSON.stringify(require.resolve('../../index.js'))});
    (async () => {
      const server = await serve('rsipc:test.ref.' + process.pid);
      const client = await connect(server.address());
      server.unref();
      client.unref();
      console.log('over');
    })()`;
  const { stdout, status } = spawnSync(process.execPath, ['-e', program], { encoding: 'utf8', timeout: 20_000 });
  assert.deepStrictEqual([stdout, status], ['over\n', 0]);
});
