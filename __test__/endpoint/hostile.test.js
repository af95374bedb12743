'use strict';
// Peers that know the protocol and lie in it: nothing of what they say ends the process, is told in the wrong place, or
// fills the memory.

const { test } = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { pair, directory } = require('./places.js');
const { connect, Fd } = require('../../index.js');

leavesNothing();

const hello = (more) => `rsipc/1 ${JSON.stringify({ codec: 'json', pid: 1, ...more })}\n`;
const [MESSAGE, REQUEST, BYE, HANDLES] = [1, 2, 8, 9];

function frame(kind, payload, flags = 0) {
  const bytes = Buffer.from(payload);
  const head = Buffer.alloc(6);
  head.writeUInt32LE(bytes.length);
  head[4] = kind;
  head[5] = flags;
  return Buffer.concat([head, bytes]);
}

// A message with handles, as far as it says so.
function handles(said, message) {
  const text = Buffer.from(JSON.stringify(said));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.length);
  return frame(HANDLES, Buffer.concat([length, text, Buffer.from(message)]), said.handles.length << 1);
}

// What becomes of a connection that says these things, at a server that serves on.
async function outcome(t, options, ...pieces) {
  const { server, client } = await pair(t, { server: options, client: options });
  server.handle('ask', (body, { id }) => (options.codec === 'raw' ? Buffer.from(id) : id));
  const failed = happened(server, 'clientError');
  const socket = net.connect(server.address().slice('unix:'.length));
  t.after(() => socket.destroy());
  socket.on('error', () => {});
  socket.resume();
  for (const piece of pieces) socket.write(piece);
  const [error] = await failed;
  await client.request('ask');
  return error;
}

test('a hello whose session is no text is none', async (t) => {
  const error = await outcome(t, {}, hello({ session: { toString: 1, valueOf: 1 } }), frame(REQUEST, '[1,"ask",0]\n'));
  assert.strictEqual(error.code, 'ERR_RSIPC_NOT_RSIPC');
});

for (const codec of ['json', 'raw']) {
  test(`handles under numbers that are none, and messages with no handles at all, end the connection: ${codec}`, async (t) => {
    for (const said of [{ id: -1, handles: [{ type: 'fd' }] }, { id: 2 ** 40, handles: [{ type: 'fd' }] }, { id: 0.5, handles: [{ type: 'fd' }] }, { id: 1, handles: [] }]) {
      const error = await outcome(t, { codec }, hello({ codec }), handles(said, '1'));
      assert.strictEqual(error.code, 'ERR_RSIPC_MALFORMED_FRAME', JSON.stringify(said));
    }
  });
}

test('a message with a handle nests no deeper than any other', async (t) => {
  const { server, client } = await pair(t, { client: { maxDepth: 100_000 } });
  const failed = happened(server, 'clientError');
  let deep = 1;
  for (let level = 0; level < 2_000; level++) deep = [deep];
  const number = fs.openSync('/dev/null');
  const fd = new Fd(number); // has a duplicate
  fs.closeSync(number);
  const sent = client.send(deep, fd);
  assert.strictEqual((await failed)[0].code, 'ERR_RSIPC_TOO_DEEP');
  await assert.rejects(sent);
  fd.close();
});

// A server that says `first` to its first client, and `next` to those that follow.
async function liar(t, first, next) {
  const file = path.join(directory(t), 's');
  const sockets = [];
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.resume();
    socket.write(hello());
    socket.write(sockets.length === 0 ? first : next);
    sockets.push(socket);
  }).listen(file);
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await happened(server, 'listening');
  const client = await connect(`unix:${file}`, { reconnect: { min: 1, max: 10 } });
  t.after(() => client.destroy());
  return client;
}

test('a server that accepts and never completes the TLS handshake is given up', async (t) => {
  const sockets = [];
  const server = net.createServer((socket) => sockets.push(socket.on('error', () => {}).resume())).listen(0, '127.0.0.1');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await happened(server, 'listening');
  const endpoint = `tls://127.0.0.1:${server.address().port}`;
  const options = { helloTimeout: 300, tls: { rejectUnauthorized: false } };
  await assert.rejects(connect(endpoint, options), { code: 'ERR_RSIPC_HELLO_TIMEOUT' });
  // Nor does its socket outlive who has given it up sooner.
  await assert.rejects(connect(endpoint, { ...options, timeout: 50 }), { code: 'ERR_RSIPC_TIMEOUT' });
  await until(() => sockets.length === 2 && sockets.every((socket) => socket.readableEnded || socket.destroyed), 'both to be closed');
});

test('of what a peer says that it goes for, no more is kept than a line', async (t) => {
  const client = await liar(t, frame(BYE, 'x'.repeat(1_000_000)), '');
  const [error] = await happened(client, 'disconnect');
  assert.ok(error.message.length < 500, `${error.message.length} characters`);
});

test('an iterator that is slow does not gather large messages', { timeout: 60_000 }, async (t) => {
  const { client, accepted } = await pair(t, { codec: 'raw' });
  const iterator = accepted[Symbol.asyncIterator]();
  const [COUNT, SIZE] = [200, 256 * 1024];
  const block = Buffer.alloc(SIZE);
  for (let number = 0; number < COUNT; number++) client.send(block).catch(() => {});
  let queued;
  await until(async () => {
    const before = queued;
    await new Promise((resolve) => setTimeout(resolve, 100));
    queued = client.queued;
    return before === queued;
  }, 'the reader to stop');
  assert.ok(queued > COUNT * SIZE / 2, `only ${queued} bytes wait with the sender`);
  for (let number = 0; number < COUNT; number++) assert.strictEqual((await iterator.next()).value.length, SIZE);
  await iterator.return();
});

test('nothing of a connection that has broken the rules is told behind that, also when it is followed by another', async (t) => {
  const client = await liar(t, frame(MESSAGE, '"good"\nnonsense\n"bad"\n'), frame(MESSAGE, '"next"\n'));
  const heard = [];
  client.on('message', (message) => heard.push(message));
  await until(() => heard.includes('next'), 'the next connection');
  assert.deepStrictEqual(heard, ['good', 'next']);
});

test('those who are not allowed are turned away so many at a time', async (t) => {
  const native = require('../../lib/binding.js');
  const file = path.join(directory(t), 's');
  const listener = native.Listener.bind(`unix:${file}`, { allow: { uids: [process.getuid() + 1] } });
  t.after(() => listener.close());
  const sockets = Array.from({ length: 100 }, () => net.connect(file).on('error', () => {}).resume());
  t.after(() => sockets.forEach((socket) => socket.destroy()));
  await Promise.all(sockets.map((socket) => happened(socket, 'connect')));
  const closed = () => sockets.filter((socket) => socket.closed).length;
  for (const expected of [64, 100]) {
    assert.strictEqual(listener.accept({ framing: 'text', maxMessageSize: 1_000, maxDepth: 10 }), null);
    await until(() => closed() >= expected, 'them to hear of it');
    assert.strictEqual(closed(), expected);
  }
});
