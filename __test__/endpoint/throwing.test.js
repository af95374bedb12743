'use strict';
// Listeners that throw: of all that came with what they threw at, nothing is lost, and the connection goes its way.

const { test } = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const net = require('node:net');
const { leavesNothing } = require('../helpers/leavings.js');
const { thrown } = require('../helpers/thrown.js');
const { happened, until } = require('../helpers/wait.js');
const { pair, PLACES } = require('./places.js');
const { serve, connect, Fd } = require('../../index.js');

leavesNothing();

const fail = (what) => {
  throw new Error(`of ${what}`);
};

for (const codec of ['json', 'v8']) {
  test(`a listener that throws costs no request, no handle and no end that came with its message (${codec})`, async (t) => {
    const { server, client, accepted } = await pair(t, { codec });
    const texts = thrown(t);
    const got = [];
    server.handle('ask', (body) => {
      got.push(`asked ${body}`);
      return body;
    });
    accepted.on('message', (message, handle) => {
      got.push(message);
      handle?.close();
      if (message === 'first') fail(message);
    });
    const ended = happened(accepted, 'close');
    const number = fs.openSync('/dev/null');
    const fd = new Fd(number);
    fs.closeSync(number);
    client.send('first');
    const answered = client.request('ask', 1);
    client.send('second');
    const taken = client.send('third', fd);
    const closed = client.close();
    assert.strictEqual(await answered, 1);
    await taken;
    await closed;
    await ended;
    assert.deepStrictEqual(got, ['first', 'asked 1', 'second', 'third']);
    assert.deepStrictEqual(texts, ['of first']);
  });
}

test('a listener that throws while much waits does not keep those waiting who send', async (t) => {
  const { client, accepted } = await pair(t, { highWaterMark: 100_000 });
  const texts = thrown(t);
  client.on('message', () => fail('a message'));
  accepted.pause();
  let room = client.send('x'.repeat(50_000));
  for (let i = 0; i < 100 && client.queued <= 100_000; i++) {
    room = client.send('x'.repeat(50_000));
    await new Promise(setImmediate);
  }
  assert.ok(client.queued > 100_000);
  // What makes room and what is thrown at come in the same turn, again and again.
  accepted.on('message', () => accepted.send('taken'));
  accepted.resume();
  await room;
  await until(() => texts.length > 0, 'the listener has thrown');
  client.removeAllListeners('message');
});

test('a listener of connections that throws keeps no other from being accepted', async (t) => {
  const server = await serve(PLACES['unix:'](t), { codec: 'lines' });
  t.after(() => server.close({ timeout: 500 }));
  const texts = thrown(t);
  let count = 0;
  server.on('connection', () => {
    count++;
    fail('a connection');
  });
  const path = server.address().slice('unix:'.length);
  const sockets = Array.from({ length: 5 }, () => net.connect(path));
  t.after(() => { for (const socket of sockets) socket.destroy(); });
  await until(() => count === 5, 'all are accepted');
  await until(() => texts.length === 5, 'all are told');
});

test('a listener of errors that throws does not keep the connection they are about', async (t) => {
  const server = await serve(PLACES['unix:'](t));
  t.after(() => server.close({ timeout: 500 }));
  thrown(t);
  server.on('clientError', () => fail('an error'));
  const socket = net.connect(server.address().slice('unix:'.length));
  t.after(() => socket.destroy());
  socket.resume().on('error', () => {});
  const ended = happened(socket, 'close');
  socket.write('this is no hello\n');
  await ended;
});

test('a listener of \'error\' that throws does not take \'close\' away', async (t) => {
  const { client, accepted } = await pair(t);
  const texts = thrown(t);
  client.on('error', () => fail('error'));
  const closed = happened(client, 'close');
  accepted.destroy();
  await closed;
  assert.deepStrictEqual(texts, ['of error']);
});

for (const name of ['disconnect', 'reconnecting']) {
  test(`a listener of '${name}' that throws does not keep the client from coming back`, async (t) => {
    const { client, accepted } = await pair(t, { client: { reconnect: { min: 5, max: 20 } } });
    const texts = thrown(t);
    client.on(name, () => fail(name));
    const back = happened(client, 'reconnect');
    accepted.destroy();
    await back;
    assert.ok(texts.includes(`of ${name}`));
  });
}

for (const scheme of ['unix+dgram:', 'udp:']) {
  test(`a listener of connections that throws costs no first datagram (${scheme})`, async (t) => {
    const server = await serve(scheme === 'udp:' ? 'udp://127.0.0.1:0' : `unix+dgram:${PLACES['unix:'](t).slice('unix:'.length)}`);
    t.after(() => server.close({ timeout: 500 }));
    const texts = thrown(t);
    const got = [];
    server.on('connection', (connection) => {
      connection.on('message', (message) => got.push(message));
      fail('a connection');
    });
    const client = await connect(server.address());
    t.after(() => client.destroy());
    client.send('first');
    await until(() => got.length === 1, 'it is told');
    assert.deepStrictEqual(got, ['first']);
    assert.deepStrictEqual(texts, ['of a connection']);
  });
}

for (const [codec, jsonRpc] of [['json', false], ['v8', false], ['lines', true]]) test(`a handler that answers with what is no promise, or fails with what cannot be told, is answered for (${codec})`, async (t) => {
  const { server, client } = await pair(t, { codec, jsonRpc });
  const texts = thrown(t);
  const circle = {};
  circle.self = circle;
  server.handle('data', () => {
    throw Object.assign(new Error('of data'), { code: 5, data: circle });
  });
  server.handle('then', () => ({
    then() { // oxlint-disable-line unicorn/no-thenable
      throw new Error('of then');
    },
  }));
  server.handle('getter', () => ({
    get then() { // oxlint-disable-line unicorn/no-thenable
      throw new Error('of a getter');
    },
  }));
  server.handle('message', () => {
    throw Object.defineProperty(new Error(), 'message', {
      get() {
        throw new Error('of a message');
      },
    });
  });
  for (const name of ['then', 'getter']) await assert.rejects(client.request(name), { message: name === 'then' ? 'of then' : 'of a getter' });
  await assert.rejects(client.request('data'), { code: 5, message: 'of data' });
  await assert.rejects(client.request('message'), { message: /value/ });
  await client.close();
  assert.deepStrictEqual(texts, []);
});

test('a broadcast reaches the others when it ends a connection, whatever a listener says to that', async (t) => {
  const { server, client, accepted, endpoint } = await pair(t, { server: { slowPeer: 'close', highWaterMark: 50_000, maxSharedBytes: 0 } });
  const texts = thrown(t);
  const slow = [...server.connections][0];
  client.pause();
  const other = await connect(endpoint);
  t.after(() => other.destroy());
  await until(() => server.connections.size === 2, 'both are there');
  let heard = 0;
  other.on('message', () => heard++);
  server.on('clientError', () => fail('an error'));
  assert.strictEqual(slow, accepted);
  // It is the first of the two that does not read.
  let count = 0;
  for (; !slow.closed && count < 1_000; count++) {
    server.broadcast('x'.repeat(20_000));
    await until(() => heard === count + 1, 'the other has it');
  }
  assert.ok(slow.closed);
  await until(() => texts.length > 0, 'the listener has thrown');
  assert.strictEqual(heard, count);
});

test('a connection that could not be given everything ends, whatever a listener says to that', async (t) => {
  const { server, client, accepted } = await pair(t, { server: { maxSharedBytes: 0 } });
  const texts = thrown(t);
  server.on('clientError', () => fail('an error'));
  client.pause();
  for (let i = 0; i < 100; i++) accepted.send('x'.repeat(100_000));
  await assert.rejects(accepted.close({ timeout: 20 }), { code: 'ERR_RSIPC_UNSENT' });
  assert.strictEqual(server.connections.size, 0);
  assert.deepStrictEqual(texts, ['of an error']);
});
