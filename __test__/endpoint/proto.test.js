'use strict';
// `protoAction`: what becomes of messages with a key `__proto__`.

const assert = require('node:assert/strict');
const { PassThrough } = require('node:stream');
const { test } = require('node:test');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened } = require('../helpers/wait.js');
const { pair, PLACES } = require('./places.js');
const { over } = require('../../lib/endpoint/over.js');
const { serve, connect } = require('../../index.js');

leavesNothing();

// As an own key, which is how it arrives.
const evil = (value = 1) => Object.defineProperty({}, '__proto__', { value, enumerable: true, configurable: true, writable: true });
const owns = (object) => Object.hasOwn(object, '__proto__');

for (const codec of ['json', 'lines', 'lsp']) {
  for (const [what, make] of [
    ['on top', () => evil()],
    ['deep inside', () => ({ a: [{ b: [1, evil({ polluted: true })] }] })],
    ['in the first message of a tick', () => ({ x: evil() })],
  ]) {
    test(`${codec}: such a key ${what} ends the connection, and what came before is told`, async (t) => {
      const { server, client, accepted } = await pair(t, { codec });
      const got = [];
      accepted.on('message', (message) => got.push(message));
      const told = happened(server, 'clientError');
      client.send({ good: '__proto__' }); // as a value it is a text like any other
      client.send(make());
      client.send({ late: true });
      assert.equal((await told)[0].code, 'ERR_RSIPC_PROTO_KEY');
      assert.deepEqual(got, [{ good: '__proto__' }]);
      assert.equal(accepted.closed, true);
      assert.equal(client.codec, codec);
    });
  }

  test(`${codec}: 'remove' takes it away, 'keep' leaves it, each end for itself`, async (t) => {
    const { client, accepted } = await pair(t, { codec, server: { protoAction: 'remove' }, client: { protoAction: 'keep' } });
    const there = happened(accepted, 'message');
    client.send({ a: [evil()], b: 2 });
    assert.deepEqual((await there)[0], { a: [{}], b: 2 });
    assert.equal(owns((await there)[0].a[0]), false);
    const back = happened(client, 'message');
    accepted.send({ a: evil(7) });
    assert.equal(owns((await back)[0].a), true);
  });
}

test('requests and answers are looked into as well', async (t) => {
  const { server, client } = await pair(t, { server: { protoAction: 'remove' } });
  server.handle('echo', (body) => owns(body));
  server.handle('evil', () => evil());
  assert.equal(await client.request('echo', evil()), false);
  await assert.rejects(client.request('evil'), { code: 'ERR_RSIPC_PROTO_KEY' });
});

// Every way in which JSON can write one character of the key, and some in which it cannot.
test('a key whose characters are escaped is found', async () => {
  const text = '__proto__';
  for (let at = 0; at < text.length; at++) {
    for (const hex of [text.charCodeAt(at).toString(16), text.charCodeAt(at).toString(16).toUpperCase()]) {
      const stream = new PassThrough();
      const connection = over(stream, { codec: 'lines', greet: false });
      const closed = happened(connection, 'close');
      stream.write(`{"${text.slice(0, at)}\\u00${hex}${text.slice(at + 1)}":1}\n`);
      assert.equal((await closed)[0]?.code, 'ERR_RSIPC_PROTO_KEY', `character ${at} as ${hex}`);
    }
  }
  const stream = new PassThrough();
  const connection = over(stream, { codec: 'lines', greet: false });
  const heard = happened(connection, 'message');
  stream.write('{"\\\\u005f_proto__":1,"\\u00e9":"\\u005f"}\n');
  assert.deepEqual((await heard)[0], { '\\u005f_proto__': 1, 'é': '_' });
  connection.destroy();
});

test('datagrams and records with such a key are dropped, or end the connection', async (t) => {
  for (const scheme of ['unix+dgram:', 'unix+seqpacket:']) {
    const server = await serve(`${scheme}${PLACES['unix:'](t).slice('unix:'.length)}`);
    t.after(() => server.close());
    const client = await connect(server.address());
    t.after(() => client.destroy());
    const connection = happened(server, 'connection');
    const told = happened(server, 'clientError', scheme === 'unix+dgram:' ? 100 : undefined).catch(() => [{ code: 'none' }]);
    client.send(evil());
    client.send('good');
    if (scheme === 'unix+seqpacket:') {
      assert.equal((await told)[0].code, 'ERR_RSIPC_PROTO_KEY');
    } else {
      const [one] = await connection;
      assert.deepEqual(await happened(one, 'message'), ['good']);
      assert.equal(one.datagrams.foreign, 1);
      await told;
    }
  }
});

test('another action is refused', async (t) => {
  await assert.rejects(serve(PLACES['unix:'](t), { protoAction: 'ignore' }), { code: 'ERR_INVALID_ARG_VALUE' });
});
