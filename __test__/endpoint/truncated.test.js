'use strict';
// Streams that end anywhere: what was whole is told, what was not is an error with its length, and the end follows. And
// streams that come a byte at a time.

const { test } = require('node:test');
const assert = require('node:assert');
const net = require('node:net');
const path = require('node:path');
const { PassThrough, Duplex } = require('node:stream');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { directory } = require('./places.js');
const { serve, connect } = require('../../index.js');

leavesNothing();

const v8 = require('node:v8');

function frame(kind, payload) {
  const head = Buffer.alloc(6);
  head.writeUInt32LE(payload.length);
  head[4] = kind;
  return Buffer.concat([head, payload]);
}

const VALUES = [1, { text: 'ä漢\ud83d\ude00' }, [null, true]];
const BODIES = VALUES.map((value) => Buffer.from(JSON.stringify(value)));
const line = (body) => Buffer.concat([body, Buffer.from('\n')]);
const hello = (codec) => Buffer.from(`rsipc/1 {"codec":"${codec}"}\n`);

// Of each codec: what comes before the messages, the messages, and what their ends are called.
const SESSIONS = {
  json: [hello('json'), BODIES.map((body) => frame(1, line(body)))],
  v8: [hello('v8'), VALUES.map((value) => frame(1, v8.serialize(value)))],
  raw: [hello('raw'), BODIES.map((body) => frame(1, body))],
  lines: [Buffer.alloc(0), BODIES.map(line)],
  lsp: [Buffer.alloc(0), BODIES.map((body) => Buffer.concat([Buffer.from(`Content-Length: ${body.length}\r\n\r\n`), body]))],
};

const greets = (codec) => codec === 'json' || codec === 'v8' || codec === 'raw';

// What a cut leaves: how many messages are whole, and how many bytes of the next.
function leftBy(cut, pieces) {
  let [whole, at] = [0, 0];
  while (whole < pieces.length && at + pieces[whole].length <= cut) at += pieces[whole++].length;
  return [whole, cut - at];
}

const place = (t, scheme) => (scheme === 'tcp:' ? 'tcp://127.0.0.1:0' : `unix:${path.join(directory(t), 's')}`);

for (const scheme of ['unix:', 'tcp:']) {
  for (const [codec, [first, messages]] of Object.entries(SESSIONS)) {
    test(`${scheme} ${codec}: a session that is cut at any byte tells what was whole and how much of the next there was`, { timeout: 60_000 }, async (t) => {
      const server = await serve(place(t, scheme), { codec, jsonRpc: false }); // JSON-RPC has no lists
      t.after(() => server.close({ timeout: 100 }));
      const told = [];
      server.on('clientError', ({ code, message }) => told.push([code, message]));
      const got = [];
      server.on('connection', (connection) => connection.on('message', (message) => got.push(message)));
      const where = scheme === 'tcp:' ? { port: Number(server.address().split(':').at(-1)), host: '127.0.0.1' } : { path: server.address().slice('unix:'.length) };
      const session = Buffer.concat(messages);
      const wanted = codec === 'raw' ? BODIES : VALUES;
      for (let cut = 0; cut <= session.length; cut++) {
        told.length = got.length = 0;
        const socket = net.connect({ ...where, allowHalfOpen: true }).resume();
        socket.end(Buffer.concat([first, session.subarray(0, cut)]));
        await happened(socket, 'close');
        const [whole, rest] = leftBy(cut, messages);
        assert.deepStrictEqual(got, wanted.slice(0, whole), `cut at ${cut}`);
        // The last byte of a line is its end: without it a text that is whole is not.
        assert.deepStrictEqual(told.map(([code]) => code), rest === 0 ? [] : ['ERR_RSIPC_TRUNCATED'], `cut at ${cut}`);
        if (rest > 0) assert.match(told[0][1], new RegExp(`\\b${rest} bytes`), `cut at ${cut}`);
      }
    });
  }
}

test('a hello that is cut at any byte makes no connection', async (t) => {
  const server = await serve(place(t, 'unix:'));
  t.after(() => server.close({ timeout: 100 }));
  server.on('connection', () => assert.fail('nobody has said hello'));
  const said = hello('json');
  for (let cut = 0; cut < said.length; cut++) {
    const socket = net.connect({ path: server.address().slice('unix:'.length), allowHalfOpen: true }).resume();
    socket.end(said.subarray(0, cut));
    await happened(socket, 'close');
    await until(() => server.pending.size === 0, 'it to be forgotten');
  }
});

// ---- odd texts, a byte at a time ----

// Each with what arrives, where that is not what was sent.
const TEXTS = [
  '', ' ', '\u0000', '\u0001\u001f', '\u007f', '\n', '\r', '\r\n', '\u2028', '\u2029', '\u0085', '\ufeff', '\ufffe', '\uffff', 'é', 'e\u0301', 'ß', 'ﬀ', '漢字', '한', '😀', '👩‍👩‍👧', '🏳️‍🌈',
  '\ud83d', '\ude00', '\ude00\ud83d', '\u200b', '\u202e', '\u061c', '\ue000', '\u{10ffff}', '"', '\\', '\\u0000', '/', '</script>', '{', '[', ']}', '\t', 'a\nb', 'null', '1e999',
];

for (const codec of ['json', 'lines', 'lsp', 'v8']) {
  test(`${codec}: ${TEXTS.length} odd texts arrive as they were, a byte at a time`, { timeout: 60_000 }, async (t) => {
    const [there, back] = [new PassThrough(), new PassThrough()];
    const slowly = (from) => {
      const to = new PassThrough();
      from.on('data', (chunk) => { for (const byte of chunk) to.write(Buffer.of(byte)); });
      return to;
    };
    const [one, other] = [Duplex.from({ readable: slowly(back), writable: there }), Duplex.from({ readable: slowly(there), writable: back })];
    const [sender, receiver] = await Promise.all([connect(one, { codec }), connect(other, { codec })]);
    t.after(() => { sender.destroy(); receiver.destroy(); });
    const got = [];
    receiver.on('message', (message) => got.push(message));
    for (const text of TEXTS) sender.send({ [text]: text });
    await until(() => got.length === TEXTS.length || receiver.closed, 'all to come');
    assert.deepStrictEqual(got, TEXTS.map((text) => ({ [text]: text })));
  });
}

for (const scheme of ['unix:', 'tcp:']) {
  test(`${scheme} an empty message of bytes arrives as one`, async (t) => {
    const server = await serve(place(t, scheme), { codec: 'raw' });
    t.after(() => server.close({ timeout: 100 }));
    const connection = happened(server, 'connection');
    const client = await connect(server.address(), { codec: 'raw' });
    t.after(() => client.destroy());
    for (const length of [0, 1, 0, 0]) client.send(Buffer.alloc(length));
    const got = [];
    (await connection)[0].on('message', (message) => got.push(message.length));
    await until(() => got.length === 4, 'all to come');
    assert.deepStrictEqual(got, [0, 1, 0, 0]);
  });
}

// ---- bytes that are no UTF-8 ----

const INVALID = ['80', 'bf', 'c0 80', 'c1 bf', 'c3', 'c3 28', 'e0 80 80', 'e2 82', 'e2 28 a1', 'ed a0 80', 'f0 28 8c bc', 'f0 90 28 bc', 'f4 90 80 80', 'f8 88 80 80 80', 'fe', 'ff'];

for (const codec of ['json', 'lines', 'lsp']) {
  test(`${codec}: bytes that are no UTF-8 are replaced as everywhere, however they are split`, { timeout: 60_000 }, async (t) => {
    const server = await serve(place(t, 'unix:'), { codec });
    t.after(() => server.close({ timeout: 100 }));
    const bodies = INVALID.map((bytes) => Buffer.concat([Buffer.from('"'), Buffer.from(bytes.replaceAll(' ', ''), 'hex'), Buffer.from('"')]));
    const wanted = bodies.map((body) => body.toString().slice(1, -1));
    const wrap = { json: (body) => frame(1, line(body)), lines: line, lsp: (body) => Buffer.concat([Buffer.from(`Content-Length: ${body.length}\r\n\r\n`), body]) }[codec];
    const session = Buffer.concat([greets(codec) ? hello(codec) : Buffer.alloc(0), ...bodies.map(wrap)]);
    for (const step of [session.length, 1, 2, 3, 5]) {
      const got = [];
      const connection = happened(server, 'connection');
      const socket = net.connect(server.address().slice('unix:'.length)).resume();
      t.after(() => socket.destroy());
      socket.setNoDelay(true);
      for (let at = 0; at < session.length; at += step) await new Promise((resolve) => socket.write(session.subarray(at, at + step), resolve));
      (await connection)[0].on('message', (message) => got.push(message));
      await until(() => got.length === wanted.length, 'all to come');
      assert.deepStrictEqual(got, wanted);
      socket.destroy();
    }
  });
}
