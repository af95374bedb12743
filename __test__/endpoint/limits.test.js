'use strict';
// Peers that are none, that stall, that flood.

const { test } = require('node:test');
const assert = require('node:assert');
const net = require('node:net');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { PLACES, pair } = require('./places.js');
const { serve, connect } = require('../../index.js');

leavesNothing();

const HELLO = 'rsipc/1 {"codec":"json","pid":1}\n';
const frame = (kind, payload, flags = 0) => {
  const bytes = Buffer.from(payload);
  const head = Buffer.alloc(6);
  head.writeUInt32LE(bytes.length);
  head[4] = kind;
  head[5] = flags;
  return Buffer.concat([head, bytes]);
};

async function hosted(t, options = {}) {
  const server = await serve(PLACES['unix:'](t), options);
  t.after(() => server.close({ timeout: 500 }));
  const dial = (...pieces) => {
    const socket = net.connect(server.address().slice('unix:'.length));
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    socket.resume();
    for (const piece of pieces) socket.write(piece);
    return socket;
  };
  return { server, dial };
}

const WRONG = [
  ['an HTTP request', ['GET / HTTP/1.1\r\nHost: x\r\n\r\n'], 'ERR_RSIPC_NOT_RSIPC'],
  ['one wrong byte', ['x'], 'ERR_RSIPC_NOT_RSIPC'],
  ['a hello without an end', ['rsipc/1 ', 'x'.repeat(2_000)], 'ERR_RSIPC_NOT_RSIPC'],
  ['a hello of another version', ['rsipc/2 {}\n'], 'ERR_RSIPC_INCOMPATIBLE'],
  ['a hello that is no JSON', ['rsipc/1 {\n'], 'ERR_RSIPC_NOT_RSIPC'],
  ['a hello that is no object', ['rsipc/1 null\n'], 'ERR_RSIPC_NOT_RSIPC'],
  ['a hello of another codec', ['rsipc/1 {"codec":"v8"}\n'], 'ERR_RSIPC_CODEC'],
  ['an unknown kind of frame', [HELLO, frame(99, '1\n')], 'ERR_RSIPC_MALFORMED_FRAME'],
  ['a length beyond the limit', [HELLO, Buffer.from([0xff, 0xff, 0xff, 0xff, 1, 0])], 'ERR_RSIPC_MESSAGE_TOO_LARGE'],
  ['a frame without content', [HELLO, frame(1, '')], 'ERR_RSIPC_MALFORMED_FRAME'],
  ['text that is no JSON', [HELLO, frame(1, '{"a":\n')], 'ERR_RSIPC_MALFORMED_FRAME'],
  ['a request that is no array', [HELLO, frame(2, '{"a":1}\n')], 'ERR_RSIPC_MALFORMED_FRAME'],
  ['a request whose name is no text', [HELLO, frame(2, '[1,{"toString":1},0]\n')], 'ERR_RSIPC_MALFORMED_FRAME'],
  ['a request whose number is none', [HELLO, frame(2, '["x","y",0]\n')], 'ERR_RSIPC_MALFORMED_FRAME'],
  ['handles that were never sent', [HELLO, frame(9, 'xxxx', 4)], 'ERR_RSIPC_MALFORMED_FRAME'],
  ['a million levels', [HELLO, frame(1, `${'['.repeat(1e6)}${']'.repeat(1e6)}\n`)], 'ERR_RSIPC_TOO_DEEP'],
  ['a quote that hides how deep the next line is', [HELLO, frame(1, `"\n${'['.repeat(1e4)}${']'.repeat(1e4)}\n"\n`)], 'ERR_RSIPC_MALFORMED_FRAME'],
];

for (const [what, pieces, code] of WRONG) {
  test(`${what} ends that connection alone: ${code}`, async (t) => {
    const { server, dial } = await hosted(t);
    const good = await connect(server.address());
    t.after(() => good.destroy());
    server.handle('ping', () => 'pong');
    const told = happened(server, 'clientError');
    const socket = dial(...pieces);
    const [error] = await told;
    assert.strictEqual(error.code, code);
    await happened(socket, 'close');
    assert.strictEqual(await good.request('ping'), 'pong');
  });
}

test('a frame that may be passed over is passed over', async (t) => {
  const { server, dial } = await hosted(t);
  const accepted = happened(server, 'connection');
  dial(HELLO, frame(99, 'whatever', 1), frame(1, '1\n2\n'));
  const [connection] = await accepted;
  const got = [];
  connection.on('message', (message) => got.push(message));
  await until(() => got.length === 2, 'both have come');
  assert.deepStrictEqual(got, [1, 2]);
});

test('replies, cancels and failures that nobody asked for are nothing', async (t) => {
  const { server, dial } = await hosted(t);
  const accepted = happened(server, 'connection');
  dial(HELLO, frame(3, '[1,2]\n'), frame(4, '[1,null]\n'), frame(4, '[7]\n'), frame(5, '[1]\n'), frame(7, ''), frame(1, '"end"\n'));
  const [connection] = await accepted;
  assert.deepStrictEqual(await happened(connection, 'message'), ['end']);
});

test('bytes that are no UTF-8 and texts with odd characters arrive as they can be', async (t) => {
  const { server, dial } = await hosted(t);
  const accepted = happened(server, 'connection');
  dial(HELLO, frame(1, Buffer.from([0x22, 0xff, 0xfe, 0x22, 0x0a])), frame(1, '"\u2028\\u0000\\ud800"\n'));
  const [connection] = await accepted;
  const got = [];
  connection.on('message', (message) => got.push(message));
  await until(() => got.length === 2, 'both have come');
  assert.deepStrictEqual(got, ['\ufffd\ufffd', '\u2028\0\ud800']);
});

test('keys that name prototypes change none', async (t) => {
  const { server, dial } = await hosted(t, { protoAction: 'keep' });
  const accepted = happened(server, 'connection');
  const before = Object.getOwnPropertyNames(Object.prototype);
  dial(HELLO, frame(1, '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}\n'), frame(2, '[1,"__proto__",0,{"__proto__":{"polluted":1}}]\n'), frame(1, '1\n'));
  const [connection] = await accepted;
  const got = [];
  connection.on('message', (message) => got.push(message));
  await until(() => got.length === 2, 'both have come');
  assert.strictEqual({}.polluted, undefined);
  assert.deepStrictEqual(Object.getOwnPropertyNames(Object.prototype), before);
});

test('who says nothing is not waited for', async (t) => {
  const { server, dial } = await hosted(t, { helloTimeout: 300 });
  const told = happened(server, 'clientError');
  const socket = dial();
  assert.strictEqual((await told)[0].code, 'ERR_RSIPC_HELLO_TIMEOUT');
  await happened(socket, 'close');
  assert.strictEqual(server.connections.size + server.pending.size, 0);
});

test('a frame that is never completed ends the connection, one that is slow does not', async (t) => {
  const { server, dial } = await hosted(t, { frameTimeout: 600 });
  const told = happened(server, 'clientError');
  const stalled = dial(HELLO, frame(1, '"never"\n').subarray(0, 9));
  const [error, connection] = await told;
  assert.strictEqual(error.code, 'ERR_RSIPC_FRAME_TIMEOUT');
  assert.strictEqual(connection.closed, true);
  await happened(stalled, 'close');
});

test('one connection too many is refused with the reason', async (t) => {
  const { server } = await hosted(t, { maxConnections: 2 });
  const clients = [await connect(server.address()), await connect(server.address())];
  await assert.rejects(connect(server.address()), { code: 'ERR_RSIPC_REFUSED', message: /2 connections/ });
  await clients[0].close();
  await until(() => server.connections.size === 1, 'one has gone');
  clients[0] = await connect(server.address());
  for (const client of clients) await client.close();
});

test('hundreds who connect at once are all welcomed', async (t) => {
  const { server } = await hosted(t);
  const clients = await Promise.all(Array.from({ length: 300 }, () => connect(server.address())));
  server.handle('ping', () => 'pong');
  assert.deepStrictEqual(new Set(await Promise.all(clients.map((client) => client.request('ping')))), new Set(['pong']));
  await Promise.all(clients.map((client) => client.close()));
});

test('a peer that asks and never reads is not read on, and others are served', async (t) => {
  const { server, dial } = await hosted(t, { highWaterMark: 100_000 });
  server.handle('big', () => 'x'.repeat(1_000));
  const socket = net.connect(server.address().slice('unix:'.length));
  t.after(() => socket.destroy());
  socket.on('error', () => {});
  socket.pause();
  socket.write(HELLO);
  const [connection] = await happened(server, 'connection');
  let id = 0;
  for (let i = 0; i < 300; i++) socket.write(frame(2, Array.from({ length: 100 }, () => `[${++id},"big",0]\n`).join('')));
  const good = await connect(server.address());
  for (let i = 0; i < 50; i++) assert.strictEqual((await good.request('big')).length, 1_000);
  assert.ok(connection.queued < 200_000, String(connection.queued));
  await good.close();
  void dial;
});

test('pings are answered, however many, and fill nothing', async (t) => {
  const { server } = await hosted(t);
  const socket = net.connect(server.address().slice('unix:'.length));
  t.after(() => socket.destroy());
  socket.write(HELLO);
  socket.write(Buffer.concat(Array.from({ length: 10_000 }, () => frame(6, ''))));
  let bytes = Buffer.alloc(0);
  for await (const chunk of socket) {
    bytes = Buffer.concat([bytes, chunk]);
    if (bytes.includes(frame(7, ''))) break;
  }
  assert.ok(bytes.length < 10_000);
});

test('options that make no sense are refused where they stand', async () => {
  for (const [options, code] of [
    [{ codec: 'xml' }, 'ERR_INVALID_ARG_VALUE'], [{ maxMessageSize: 0 }, 'ERR_OUT_OF_RANGE'], [{ highWaterMark: 'x' }, 'ERR_INVALID_ARG_TYPE'],
    [{ allow: { uid: -1 } }, 'ERR_OUT_OF_RANGE'], [{ allow: {} }, 'ERR_INVALID_ARG_VALUE'], [{ jsonRpc: true }, 'ERR_INVALID_ARG_VALUE'],
    [{ mode: 0o1000 }, 'ERR_OUT_OF_RANGE'], [{ slowPeer: 'no' }, 'ERR_INVALID_ARG_VALUE'], [{ spin: -1 }, 'ERR_OUT_OF_RANGE'], [{ spin: 10_001 }, 'ERR_OUT_OF_RANGE'], [{ spin: '5' }, 'ERR_INVALID_ARG_TYPE'],
  ]) await assert.rejects(serve('unix:/tmp/never', options), { code });
  await assert.rejects(serve(1), { code: 'ERR_INVALID_ARG_TYPE' });
  await assert.rejects(serve('/run/x.sock'), { code: 'ERR_RSIPC_INVALID_ENDPOINT', message: /unix:\/run\/x\.sock/ });
  await assert.rejects(connect('nonsense:x'), { code: 'ERR_RSIPC_INVALID_ENDPOINT' });
  await assert.rejects(connect({}), { code: 'ERR_INVALID_ARG_TYPE' });
  await assert.rejects(serve('pipe:x'), { code: 'ERR_RSIPC_UNSUPPORTED', message: /Windows/ });
  await assert.rejects(connect('pipe:x'), { code: 'ERR_RSIPC_UNSUPPORTED', message: /Windows/ });
});

test('a second server at the same endpoint is refused, and the first goes on', async (t) => {
  const { server, client } = await pair(t);
  server.handle('ping', () => 'pong');
  await assert.rejects(serve(server.address()), { code: 'EADDRINUSE' });
  assert.strictEqual(await client.request('ping'), 'pong');
});
