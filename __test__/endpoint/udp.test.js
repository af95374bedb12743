'use strict';
// `udp://host:port`: messages as datagrams.

const assert = require('node:assert/strict');
const dgram = require('node:dgram');
const { once } = require('node:events');
const { test } = require('node:test');
const { serve, connect } = require('../../index.js');
const { Sequence } = require('../../lib/endpoint/sequence.js');

const ANY = 'udp://127.0.0.1:0';

async function server(t, endpoint = ANY, options = {}) {
  const made = await serve(endpoint, options);
  t.after(() => made.close());
  return made;
}

async function client(t, endpoint, options) {
  const made = await connect(endpoint, options);
  t.after(() => made.destroy());
  return made;
}

// A socket of no rsipc, and how it sends to a server.
async function stranger(t, to) {
  const socket = dgram.createSocket('udp4');
  t.after(() => socket.close());
  await new Promise((resolve) => socket.bind(0, '127.0.0.1', resolve));
  const port = Number(to.address().split(':').at(-1));
  return { socket, send: (bytes) => new Promise((resolve) => socket.send(bytes, port, '127.0.0.1', resolve)) };
}

function datagram(number, body, { sender = 7, codec = 1, length = Buffer.byteLength(body) } = {}) {
  const head = Buffer.alloc(16);
  head.write('rsu\x01', 'latin1');
  head[4] = codec;
  head.writeUInt16LE(length, 6);
  head.writeUInt32LE(sender, 8);
  head.writeUInt32LE(number, 12);
  return Buffer.concat([head, Buffer.from(body)]);
}

// Resolves when `check` holds; the test's own limit ends a wait for nothing.
async function until(check) {
  while (!check()) await new Promise((resolve) => setTimeout(resolve, 2));
}

test('lost, late and repeated datagrams are counted, and none is told twice', async (t) => {
  const made = await server(t);
  const { send } = await stranger(t, made);
  const got = [];
  made.on('connection', (connection) => connection.on('message', (message) => got.push(message)));
  for (const number of [1, 2, 5, 3, 5, 2, 9]) await send(datagram(number, String(number)));
  await until(() => got.at(-1) === 9);
  assert.deepEqual(got, [1, 2, 5, 3, 9]);
  const { received, lost, reordered, duplicates } = [...made.connections][0].datagrams;
  assert.deepEqual({ received, lost, reordered, duplicates }, { received: 5, lost: 4, reordered: 1, duplicates: 2 }); // 4, 6, 7, 8
});

test('what is cut off, of another codec or of no rsipc is counted and harms nobody', async (t) => {
  const made = await server(t);
  const { send } = await stranger(t, made);
  await send(datagram(1, '"cut', { length: 100 }));
  await send(datagram(1, 'abc', { codec: 3 }));
  await send(datagram(1, '1', { length: 0 }));
  await send('hello');
  await send('');
  const connection = once(made, 'connection');
  await send(datagram(1, '{"no json', { sender: 8 }));
  const [bad] = await connection;
  await send(datagram(2, '"good"', { sender: 8 }));
  assert.deepEqual(await once(bad, 'message'), ['good']);
  assert.equal(bad.datagrams.foreign, 1);
  assert.equal(made.datagrams.truncated, 1);
  assert.equal(made.datagrams.foreign, 4);
});

test('senders beyond maxConnections are counted, and a silent one makes room', async (t) => {
  const made = await server(t, ANY, { maxConnections: 2, idleTimeout: 150 });
  const { send } = await stranger(t, made);
  const closed = [];
  made.on('connection', (connection) => closed.push(once(connection, 'close')));
  for (const sender of [1, 2, 3]) await send(datagram(1, '1', { sender }));
  await until(() => made.datagrams.refused === 1);
  assert.equal(made.connections.size, 2);
  assert.deepEqual(await Promise.all(closed), [[], []].map(() => [undefined]));
  const next = once(made, 'connection');
  await send(datagram(2, '1', { sender: 3 }));
  await next;
});

test('with udp.plain the datagrams are the messages alone', async (t) => {
  const made = await server(t, ANY, { codec: 'raw', udp: { plain: true } });
  const { socket, send } = await stranger(t, made);
  made.on('connection', (connection) => connection.on('message', (message) => connection.send(Buffer.from(`you: ${message}`))));
  const answer = once(socket, 'message');
  await send('page.views:1|c');
  assert.equal(String((await answer)[0]), 'you: page.views:1|c');
});

test('a group hears what is sent to it, and its members can answer', async (t) => {
  const udp = { interface: '127.0.0.1', ttl: 1, loopback: true };
  const first = await server(t, 'udp://239.255.71.3:0', { udp });
  const second = await server(t, first.address(), { udp }); // of one port: several processes can be members
  for (const member of [first, second]) member.on('connection', (connection) => connection.on('message', (message) => connection.send({ got: message })));
  const end = await client(t, first.address(), { udp });
  const answers = [];
  end.on('message', (message) => answers.push(message));
  end.send('all of you');
  await until(() => answers.length === 2);
  assert.deepEqual(answers, [{ got: 'all of you' }, { got: 'all of you' }]);
});

test('a broadcast is sent only by who says so', async (t) => {
  const made = await server(t, 'udp://0.0.0.0:0');
  const port = made.address().split(':').at(-1);
  const end = await client(t, `udp://127.255.255.255:${port}`, { udp: { broadcast: true } });
  const connection = once(made, 'connection');
  end.send('to all');
  assert.deepEqual(await once((await connection)[0], 'message'), ['to all']);
  await assert.rejects(connect(`udp://127.255.255.255:${port}`), { code: 'EACCES' });
});

test('that nobody listens is counted, and ends nothing', async (t) => {
  const made = await serve(ANY);
  const where = made.address();
  await made.close();
  const end = await client(t, where);
  while (end.datagrams.failed === 0) {
    end.send('anybody?');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.equal(end.connected, true);
});

test('an address that is taken, and options that make no sense, are refused', async (t) => {
  const made = await server(t);
  await assert.rejects(serve(made.address()), { code: 'EADDRINUSE' });
  for (const nowhere of [ANY, 'udp://239.0.0.1:0']) await assert.rejects(connect(nowhere), { code: 'ERR_INVALID_ARG_VALUE' });
  await assert.rejects(connect('udp://nowhere'), { code: 'ERR_RSIPC_INVALID_ENDPOINT' });
  for (const [options, code] of [[{ codec: 'lines' }, 'ERR_INVALID_ARG_VALUE'], [{ udp: { ttl: 0 } }, 'ERR_OUT_OF_RANGE'], [{ udp: { plain: 1 } }, 'ERR_INVALID_ARG_TYPE'], [{ udp: 1 }, 'ERR_INVALID_ARG_TYPE']]) {
    await assert.rejects(connect(made.address(), options), { code });
  }
});

test('a number that goes round, or comes from long ago, is told apart', () => {
  const counters = { received: 0, lost: 0, reordered: 0, duplicates: 0 };
  const sequence = new Sequence(counters);
  assert.equal(sequence.take(0xffff_fffe), true);
  assert.equal(sequence.take(0), true); // 0xffffffff is missing
  assert.equal(counters.lost, 1);
  assert.equal(sequence.take(0xffff_ffff), true);
  assert.equal(sequence.take(0xffff_ffff), false);
  assert.deepEqual(counters, { received: 3, lost: 0, reordered: 1, duplicates: 1 });
  assert.equal(sequence.take(5_000), true); // further than the window
  assert.equal(counters.lost, 4_999);
  assert.equal(sequence.take(4_500), true);
  assert.equal(sequence.take(1), false); // nobody knows any more
  assert.deepEqual(counters, { received: 5, lost: 4_998, reordered: 2, duplicates: 2 });
});
