'use strict';
// Servers and clients where the native part has no sockets of its own: on Windows. Elsewhere it is made to look so.

const native = require('../../lib/binding.js');

if (process.platform !== 'win32') native.Listener = undefined;

const { test } = require('node:test');
const assert = require('node:assert');
const net = require('node:net');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { CODECS } = require('./places.js');
const { serve, connect } = require('../../index.js');

leavesNothing();

const windows = process.platform === 'win32';
const PLACES = windows ? {
  'pipe:': `pipe:rsipc-test.${process.pid}`,
  'rsipc:': `rsipc:test.${process.pid}`,
  'tcp:': 'tcp://127.0.0.1:0',
} : { 'tcp:': 'tcp://127.0.0.1:0' };

for (const [scheme, place] of Object.entries(PLACES)) {
  for (const [codec, { make, number }] of Object.entries(CODECS)) {
    test(`${scheme} ${codec}: messages go both ways in their order, and all arrive before the end`, async (t) => {
      const server = await serve(place, { codec });
      t.after(() => server.close());
      const accepted = happened(server, 'connection');
      const client = await connect(server.address(), { codec });
      client.send(make(-1)); // who has no hello is there with the first message
      const [far] = await accepted;
      const got = [];
      far.on('message', (message) => {
        got.push(number(message));
        far.send(message);
      });
      const back = [];
      client.on('message', (message) => back.push(number(message)));
      for (let i = 0; i < 200; i++) client.send(make(i));
      await until(() => back.length === 201, 'all have come back');
      assert.deepStrictEqual(got, [-1, ...Array(200).keys()]);
      assert.deepStrictEqual(back, got);
      const ended = happened(far, 'close');
      for (let i = 0; i < 50; i++) client.send(make(i));
      await client.close();
      await ended;
      assert.strictEqual(got.length, 251);
    });
  }

  test(`${scheme} requests, a long message, and a broadcast`, async (t) => {
    const server = await serve(place);
    t.after(() => server.close());
    server.handle('add', ({ a, b }) => a + b);
    server.handle('length', (text) => text.length);
    const clients = await Promise.all([1, 2].map(() => connect(server.address())));
    assert.strictEqual(await clients[0].request('add', { a: 1, b: 2 }), 3);
    assert.strictEqual(await clients[1].request('length', 'é'.repeat(1_000_000)), 1_000_000);
    await assert.rejects(clients[0].request('none'), { code: 'ERR_RSIPC_NO_HANDLER' });
    const heard = clients.map((client) => happened(client, 'message'));
    await until(() => server.connections.size === 2, 'both are there');
    assert.strictEqual(server.broadcast({ to: 'all' }), 2);
    for (const [message] of await Promise.all(heard)) assert.deepStrictEqual(message, { to: 'all' });
    await Promise.all(clients.map((client) => client.close()));
  });

  test(`${scheme} a client comes back to a server that has come back`, async (t) => {
    let server = await serve(place);
    const address = server.address();
    const client = await connect(address, { reconnect: { min: 10, max: 50 } });
    t.after(() => client.destroy());
    const lost = happened(client, 'disconnect');
    await server.close();
    await lost;
    const again = happened(client, 'reconnect');
    server = await serve(address);
    t.after(() => server.close());
    await again;
    server.handle('here', () => true);
    assert.strictEqual(await client.request('here'), true);
    await client.close();
  });

  test(`${scheme} a place that is taken and one where nobody is are errors with the system's code`, async () => {
    const server = await serve(place);
    const address = server.address();
    await assert.rejects(serve(address), { code: 'EADDRINUSE' });
    await server.close();
    await assert.rejects(connect(address), { code: scheme === 'tcp:' ? 'ECONNREFUSED' : 'ENOENT' });
    await assert.rejects(connect(address, { signal: AbortSignal.abort() }), { name: 'AbortError' });
  });
}

test('whoever connects and says nothing gets nothing, and is nobody\'s loss', async (t) => {
  const server = await serve('tcp://127.0.0.1:0', { helloTimeout: 50 });
  t.after(() => server.close());
  server.on('connection', () => assert.fail('nobody has said hello'));
  const error = happened(server, 'clientError');
  const socket = net.connect(Number(server.address().split(':').pop()), '127.0.0.1');
  t.after(() => socket.destroy());
  socket.on('error', () => {});
  socket.resume();
  const closed = happened(socket, 'close');
  assert.strictEqual((await error)[0].code, 'ERR_RSIPC_HELLO_TIMEOUT');
  await closed;
});

test('what does not exist there is refused with a code', async () => {
  for (const endpoint of ['unix:/tmp/s', 'unix:@s', 'unix+dgram:/tmp/s', 'unix+seqpacket:/tmp/s', 'fifo:/tmp/f', 'file:/tmp/d/', 'systemd:', 'stdio:']) {
    await assert.rejects(serve(endpoint), { code: 'ERR_RSIPC_UNSUPPORTED' }, endpoint);
    await assert.rejects(connect(endpoint), { code: 'ERR_RSIPC_UNSUPPORTED' }, endpoint);
  }
  await assert.rejects(serve('here'), { code: 'ERR_RSIPC_INVALID_ENDPOINT' });
  for (const options of [{ mode: 0o600 }, { uid: 0 }, { allow: { gid: 0 } }]) {
    await assert.rejects(serve('pipe:s', options), { code: 'ERR_RSIPC_UNSUPPORTED' });
  }
  await assert.rejects(connect('pipe:s', { allow: { uid: 0 } }), { code: 'ERR_RSIPC_UNSUPPORTED' });
  await assert.rejects(serve('tcp://127.0.0.1:0', { proxy: { from: ['127.0.0.1'] } }), { code: 'ERR_RSIPC_UNSUPPORTED' });
});
