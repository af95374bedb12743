'use strict';
// The end of a connection that has still something to write: it is written, or its sender is told that it was not.

const { test } = require('node:test');
const assert = require('node:assert');
const net = require('node:net');
const path = require('node:path');
const { leavesNothing, ownRunDirectory } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { directory } = require('./places.js');
const { serve, connect, openBus } = require('../../index.js');

leavesNothing();
ownRunDirectory();

const BODY = Buffer.alloc(50_000, 'x');
const PLACES = [['unix:', 'json'], ['unix:', 'raw'], ['unix:', 'lines'], ['tcp:', 'json'], ['unix+seqpacket:', 'raw']];
const place = (t, scheme) => (scheme === 'tcp:' ? 'tcp://127.0.0.1:0' : `${scheme}${path.join(directory(t), 's')}`);
const bodyOf = (codec) => (codec === 'raw' ? BODY : BODY.toString());

async function ends(t, scheme, codec, options = {}) {
  const server = await serve(place(t, scheme), { codec, maxSharedBytes: 0, ...options });
  t.after(() => server.close({ timeout: 100 }));
  const connection = happened(server, 'connection');
  const client = await connect(server.address(), { codec, maxSharedBytes: 0, ...options });
  t.after(() => client.destroy());
  return { server, client, accepted: (await connection)[0] };
}

// Sends until the other end takes no more: how many that were.
async function fill(connection, codec) {
  let count = 0;
  for (; connection.queued < 1_000_000; count++) {
    connection.send(bodyOf(codec)).catch(() => {});
    await new Promise(setImmediate);
  }
  return count;
}

for (const [scheme, codec] of PLACES) {
  test(`${scheme} ${codec}: two ends that close at once, each with more than the kernel takes, lose nothing`, { timeout: 60_000 }, async (t) => {
    const { client, accepted } = await ends(t, scheme, codec, { closeTimeout: 60_000 });
    client.pause();
    accepted.pause();
    const sent = [await fill(client, codec), await fill(accepted, codec)];
    const got = [0, 0];
    accepted.on('message', () => got[0]++);
    client.on('message', () => got[1]++);
    const closed = [client.close(), accepted.close()];
    client.resume();
    accepted.resume();
    await Promise.all(closed);
    assert.deepStrictEqual(got, sent);
  });

  test(`${scheme} ${codec}: what a peer does not read in time is told, with how much it is`, async (t) => {
    const { server, client, accepted } = await ends(t, scheme, codec, { closeTimeout: 300 });
    client.pause();
    await fill(accepted, codec);
    const told = happened(server, 'clientError');
    const closed = happened(accepted, 'close');
    const waiting = accepted.queued;
    await assert.rejects(accepted.close(), (error) => {
      assert.strictEqual(error.code, 'ERR_RSIPC_UNSENT');
      assert.ok(error.unsent > 500_000 && error.unsent <= waiting + 100, `${error.unsent} of ${waiting}`);
      assert.ok(error.message.includes(String(error.unsent)));
      return true;
    });
    assert.strictEqual((await closed)[0], accepted.error);
    assert.deepStrictEqual(await told, [accepted.error, accepted]);
  });

  test(`${scheme} ${codec}: what a peer that goes has not read is told`, async (t) => {
    const { client, accepted } = await ends(t, scheme, codec, { closeTimeout: 60_000 });
    accepted.pause();
    await fill(client, codec);
    const closed = happened(client, 'close');
    const waits = client.close();
    accepted.destroy();
    await assert.rejects(waits, { code: 'ERR_RSIPC_UNSENT' });
    assert.strictEqual((await closed)[0].code, 'ERR_RSIPC_UNSENT');
  });
}

test('who closes without awaiting it, and is not listened to, ends no process with that', async (t) => {
  const { client, accepted } = await ends(t, 'unix:', 'json');
  accepted.pause();
  await fill(client, 'json');
  client.close({ timeout: 50 });
  await happened(client, 'close');
  assert.strictEqual(client.error.code, 'ERR_RSIPC_UNSENT');
});

test('a server closes in time whoever does not read, and tells of each', async (t) => {
  const { server, client, accepted } = await ends(t, 'unix:', 'json');
  const other = await connect(server.address());
  client.pause();
  await fill(accepted, 'json');
  const told = [];
  server.on('clientError', (error, connection) => told.push([error.code, connection]));
  const gone = happened(other, 'close');
  await server.close({ timeout: 200 });
  assert.deepStrictEqual(told, [['ERR_RSIPC_UNSENT', accepted]]);
  await gone;
});

test('a bus whose broker does not take what was published tells the publisher, and closes', async (t) => {
  const endpoint = `rsipc:test.close.${process.pid}`;
  const { spawn } = require('node:child_process');
  const code = `require(${JSON.stringify(require.resolve('../../index.js'))}).openBus(${JSON.stringify(endpoint)}).then(() => console.log('broker'))`;
  const broker = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(async () => {
    const ended = happened(broker, 'exit');
    broker.kill('SIGKILL');
    await ended;
  });
  await happened(broker.stdout, 'data');
  const bus = await openBus(endpoint, { closeTimeout: 200 });
  broker.kill('SIGSTOP');
  const fates = Array.from({ length: 20 }, () => bus.publish('x', 'x'.repeat(1_000_000)).then(() => 'taken', (error) => error.code));
  await bus.close();
  assert.deepStrictEqual(new Set(await Promise.all(fates)), new Set(['ERR_RSIPC_CLOSED']));
});

test('who sends and says that it sends no more has its answer', async (t) => {
  const server = await serve(place(t, 'unix:'), { codec: 'lines', jsonRpc: true });
  t.after(() => server.close({ timeout: 100 }));
  server.handle('at once', () => 1);
  server.handle('later', () => new Promise((resolve) => setTimeout(resolve, 50, 2)));
  const socket = net.connect({ path: server.address().slice('unix:'.length), allowHalfOpen: true });
  t.after(() => socket.destroy());
  socket.end('{"jsonrpc":"2.0","id":1,"method":"at once"}\n{"jsonrpc":"2.0","id":2,"method":"later"}\n');
  let said = '';
  socket.setEncoding('utf8').on('data', (piece) => { said += piece; });
  await happened(socket, 'end');
  assert.deepStrictEqual(said.trim().split('\n').map((line) => JSON.parse(line).result), [1, 2]);
  await until(() => server.connections.size === 0, 'the server to let it go');
});
