'use strict';
// Programs that are not rsipc, or not in JavaScript.

const { test } = require('node:test');
const assert = require('node:assert');
const net = require('node:net');
const path = require('node:path');
const { execFile } = require('node:child_process');
const { promisify } = require('node:util');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened } = require('../helpers/wait.js');
const { PLACES } = require('./places.js');
const { serve, connect } = require('../../index.js');

leavesNothing();

test('the Python client of the examples talks to a server', async (t) => {
  const server = await serve(PLACES['unix:'](t));
  t.after(() => server.close());
  server.handle('add', ({ a, b }) => a + b);
  const got = [];
  server.on('connection', (connection) => connection.on('message', (message) => {
    got.push(message);
    connection.send(message);
  }));
  const peer = path.join(__dirname, '../../examples/connections/peer.py');
  const { stdout } = await promisify(execFile)('python3', [peer, server.address().slice('unix:'.length)], { timeout: 30_000 });
  assert.deepStrictEqual(got, [{ from: 'python', text: 'ä漢' }, [1, null, 2.5]]);
  assert.strictEqual(stdout, '3\n' +
    "{'from': 'python', 'text': 'ä漢'} [1, None, 2.5]\n" +
    "the server has no handler for 'nobody'; set one there with handle(name, fn)\n");
});

test('a plain socket speaks lines, with empty ones, carriage returns and a byte order mark', async (t) => {
  const server = await serve(PLACES['unix:'](t), { codec: 'lines' });
  t.after(() => server.close());
  const accepted = happened(server, 'connection');
  const socket = net.connect(server.address().slice('unix:'.length));
  t.after(() => socket.destroy());
  socket.end('\ufeff{"a":1}\r\n\r\n \n[2]\n3\n');
  const [connection] = await accepted;
  const got = [];
  connection.on('message', (message) => got.push(message));
  await happened(connection, 'close');
  assert.deepStrictEqual(got, [{ a: 1 }, [2], 3]);
  assert.strictEqual(connection.error, null);
});

test('a line without an end is told with its bytes', async (t) => {
  const server = await serve(PLACES['unix:'](t), { codec: 'lines' });
  t.after(() => server.close());
  const told = happened(server, 'clientError');
  const socket = net.connect(server.address().slice('unix:'.length));
  t.after(() => socket.destroy());
  socket.end('1\n{"a":');
  const [error] = await told;
  assert.strictEqual(error.code, 'ERR_RSIPC_TRUNCATED');
  assert.match(error.message, / 5 bytes/);
});

test('a client of rsipc speaks lines to a plain server', async (t) => {
  const server = net.createServer((socket) => socket.on('error', () => {}).pipe(socket));
  const endpoint = PLACES['unix:'](t);
  await new Promise((resolve) => server.listen(endpoint.slice('unix:'.length), resolve));
  t.after(() => server.close());
  const client = await connect(endpoint, { codec: 'lines' });
  client.send({ a: 1 });
  assert.deepStrictEqual((await happened(client, 'message'))[0], { a: 1 });
  await client.close();
});

for (const [what, bytes, code] of [
  ['a head without a length', 'Content-Type: x\r\n\r\n{}', 'ERR_RSIPC_MALFORMED_FRAME'],
  ['two lengths that differ', 'Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}', 'ERR_RSIPC_MALFORMED_FRAME'],
  ['a length that is no number', 'Content-Length: 0x2\r\n\r\n{}', 'ERR_RSIPC_MALFORMED_FRAME'],
  ['a negative length', 'Content-Length: -2\r\n\r\n{}', 'ERR_RSIPC_MALFORMED_FRAME'],
  ['a length of nothing', 'Content-Length: 0\r\n\r\n', 'ERR_RSIPC_MALFORMED_FRAME'],
  ['a length beyond the limit', 'Content-Length: 99999999999\r\n\r\n', 'ERR_RSIPC_MESSAGE_TOO_LARGE'],
  ['a head without an end', 'X: y\r\n'.repeat(1_000), 'ERR_RSIPC_MALFORMED_FRAME'],
]) {
  test(`lsp: ${what} ends the connection: ${code}`, async (t) => {
    const server = await serve(PLACES['unix:'](t), { codec: 'lsp' });
    t.after(() => server.close());
    const told = happened(server, 'clientError');
    const socket = net.connect(server.address().slice('unix:'.length));
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    socket.end(bytes);
    assert.strictEqual((await told)[0].code, code);
  });
}

test('lsp: a text with line breaks and other fields beside the length arrives', async (t) => {
  const server = await serve(PLACES['unix:'](t), { codec: 'lsp' });
  t.after(() => server.close());
  const accepted = happened(server, 'connection');
  const socket = net.connect(server.address().slice('unix:'.length));
  t.after(() => socket.destroy());
  const text = JSON.stringify({ text: 'é\n' }, null, 2);
  socket.end(`content-LENGTH: ${Buffer.byteLength(text)}\r\nContent-Type: application/json\r\n\r\n${text}`);
  const [connection] = await accepted;
  assert.deepStrictEqual((await happened(connection, 'message'))[0], { text: 'é\n' });
});

test('lines before one that is too long or too deep are told, in one chunk or in several', async (t) => {
  const server = await serve(PLACES['unix:'](t), { codec: 'lines', maxMessageSize: 5_000, maxDepth: 10 });
  t.after(() => server.close());
  for (const [bad, code] of [['x'.repeat(6_000), 'ERR_RSIPC_MESSAGE_TOO_LARGE'], ['['.repeat(20) + ']'.repeat(20), 'ERR_RSIPC_TOO_DEEP']]) {
    const accepted = happened(server, 'connection');
    const told = happened(server, 'clientError');
    const socket = net.connect(server.address().slice('unix:'.length));
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    socket.write(`1\n2\n${bad}\n3\n`);
    const [connection] = await accepted;
    const got = [];
    connection.on('message', (message) => got.push(message));
    assert.strictEqual((await told)[0].code, code);
    assert.deepStrictEqual(got, [1, 2]);
  }
});
