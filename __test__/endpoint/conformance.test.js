'use strict';
// What every endpoint promises with every codec.

const { test } = require('node:test');
const assert = require('node:assert');
const net = require('node:net');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { PLACES, CODECS, pair } = require('./places.js');
const { serve, connect } = require('../../index.js');

leavesNothing();

const MANY = Number(process.env.MESSAGES ?? 20_000);

for (const place of Object.keys(PLACES)) {
  for (const [codec, { make, number }] of Object.entries(CODECS)) {
    const name = `${place} ${codec}:`;

    test(`${name} messages arrive once and in order, both ways`, { timeout: 60_000 }, async (t) => {
      const { client, accepted } = await pair(t, { place, codec });
      const counted = (connection) => new Promise((resolve, reject) => {
        let next = 0;
        connection.on('message', (message) => {
          if (number(message) !== next) reject(new Error(`${number(message)} came for ${next}`));
          if (++next === MANY) resolve(next);
        });
      });
      const both = Promise.all([counted(client), counted(accepted)]);
      const send = async (connection) => {
        for (let i = 0; i < MANY; i++) {
          const room = connection.send(make(i));
          if (i % 100 === 0) await room;
        }
      };
      await Promise.all([send(client), send(accepted)]);
      assert.deepStrictEqual(await both, [MANY, MANY]);
    });

    test(`${name} a message of 3 MiB arrives between small ones`, async (t) => {
      const { client, accepted } = await pair(t, { place, codec });
      const big = codec === 'raw' ? Buffer.alloc(3 << 20, 'ab') : { number: -1, text: 'é'.repeat(1.5 * 2 ** 20) };
      client.send(make(1));
      client.send(big);
      client.send(make(2));
      const got = [];
      for await (const message of accepted) if (got.push(message) === 3) break;
      assert.deepStrictEqual(got, [make(1), big, make(2)]);
    });

    test(`${name} what is broadcast arrives, however much of it there is in a tick`, async (t) => {
      const { server, client } = await pair(t, { place, codec });
      const wanted = [];
      const got = [];
      client.on('message', (message) => got.push(message));
      for (const count of [1, 2_000, 1]) {
        for (let i = 0; i < count; i++) wanted.push(make(wanted.length));
        for (const message of wanted.slice(-count)) server.broadcast(message);
        await until(() => got.length === wanted.length || !client.connected, 'all to come');
      }
      assert.deepStrictEqual(got, wanted);
    });

    test(`${name} the limit is a message's, however many are sent in a tick`, async (t) => {
      const { server, client, accepted } = await pair(t, { place, codec, maxMessageSize: 1_000 });
      const got = [[], []];
      accepted.on('message', (message) => got[0].push(message));
      client.on('message', (message) => got[1].push(message));
      const wanted = Array.from({ length: 10_000 }, (_, i) => make(i));
      for (const message of wanted) {
        client.send(message);
        server.broadcast(message);
      }
      await until(() => got.every((list) => list.length === wanted.length) || !client.connected, 'all to come');
      assert.deepStrictEqual(got, [wanted, wanted]);
    });

    test(`${name} what was sent before close() arrives, and both ends hear 'close'`, async (t) => {
      const { client, accepted } = await pair(t, { place, codec });
      const got = [];
      accepted.on('message', (message) => got.push(number(message)));
      for (let i = 0; i < 1_000; i++) client.send(make(i));
      const ends = [happened(accepted, 'close'), happened(client, 'close')];
      await client.close();
      await Promise.all(ends);
      assert.deepStrictEqual(got, Array.from({ length: 1_000 }, (_, i) => i));
      await assert.rejects(client.send(make(0)), { code: 'ERR_RSIPC_CLOSED' });
    });

    test(`${name} what was sent before close() arrives also while the other end is sending`, async (t) => {
      const { client, accepted } = await pair(t, { place, codec, closeTimeout: 60_000 });
      const got = [];
      accepted.on('message', (message) => {
        got.push(number(message));
        for (let i = 0; i < 10 && accepted.connected; i++) accepted.send(make(i)).catch(() => {});
      });
      client.on('message', () => {});
      for (let i = 0; i < 5_000; i++) client.send(make(i));
      const ended = happened(accepted, 'close');
      await client.close();
      await ended;
      assert.deepStrictEqual(got, Array.from({ length: 5_000 }, (_, i) => i));
    });

    test(`${name} a message above the limit ends the connection and is named`, async (t) => {
      const { server, client, accepted } = await pair(t, { place, codec, server: { maxMessageSize: 10_000 } });
      const told = happened(server, 'clientError');
      const closed = happened(client, 'close');
      client.send(codec === 'raw' ? Buffer.alloc(20_000) : { number: 1, text: 'x'.repeat(20_000) });
      const [error, connection] = await told;
      assert.strictEqual(error.code, 'ERR_RSIPC_MESSAGE_TOO_LARGE');
      assert.strictEqual(connection, accepted);
      await closed;
    });

    if (codec !== 'lines') {
      test(`${name} requests are answered, also many at once`, async (t) => {
        const { server, client } = await pair(t, { place, codec });
        server.handle('echo', (body) => body);
        server.handle('later', (body) => new Promise((resolve) => setImmediate(resolve, body)));
        const asked = [];
        for (let i = 0; i < 500; i++) asked.push(client.request(i % 2 === 0 ? 'echo' : 'later', make(i)));
        assert.deepStrictEqual((await Promise.all(asked)).map(number), Array.from({ length: 500 }, (_, i) => i));
      });
    }

    if (codec !== 'raw') {
      test(`${name} nesting beyond the limit ends the connection`, async (t) => {
        const { server, client } = await pair(t, { place, codec });
        const told = happened(server, 'clientError');
        let deep = [];
        for (let i = 0; i < 1_000; i++) deep = [deep];
        client.send(deep);
        assert.strictEqual((await told)[0].code, 'ERR_RSIPC_TOO_DEEP');
      });
    }

    // A name is a UNIX socket whose path is nobody's business.
    if (place !== 'rsipc:') test(`${name} a stream cut at every byte gives the same messages`, { timeout: 60_000 }, async (t) => {
      // What a client writes is recorded, then written again in two pieces.
      const recorded = await record(codec, make);
      const server = await serve(PLACES[place](t), { codec });
      t.after(() => server.close({ timeout: 1_000 }));
      const where = dialled(server);
      const step = process.env.EVERY_BYTE ? 1 : Math.ceil(recorded.length / 40);
      for (let cut = 1; cut < recorded.length; cut += step) {
        const accepted = happened(server, 'connection');
        const socket = net.connect(where);
        socket.setNoDelay(true);
        const got = [];
        accepted.then(([connection]) => connection.on('message', (message) => got.push(number(message))));
        socket.write(recorded.subarray(0, cut));
        await new Promise(setImmediate);
        socket.end(recorded.subarray(cut));
        const [connection] = await accepted;
        socket.resume();
        if (!connection.closed) await happened(connection, 'close');
        assert.deepStrictEqual(got, [0, 1, 2, 3, 4], `cut at ${cut} of ${recorded.length}`);
      }
    });
  }

  test(`${place} a client of another codec is refused with the names of both`, async (t) => {
    const server = await serve(PLACES[place](t), { codec: 'json' });
    t.after(() => server.close());
    await assert.rejects(connect(server.address(), { codec: 'v8' }), (error) => error.code === 'ERR_RSIPC_CODEC' && /'json'/.test(error.message) && /'v8'/.test(error.message));
  });
}

// The bytes of five messages.
async function record(codec, make) {
  const { Duplex } = require('node:stream');
  const pieces = [];
  const sink = new Duplex({ read() {}, write: (chunk, _, done) => {
    pieces.push(chunk);
    done();
  } });
  const { over } = require('../../lib/endpoint/over.js');
  const connection = over(sink, { codec, greet: false });
  for (let i = 0; i < 5; i++) connection.send(make(i));
  await new Promise(setImmediate);
  connection.destroy();
  return Buffer.concat(pieces);
}

// Where a plain socket finds a server.
function dialled(server) {
  const address = server.address();
  if (address.startsWith('tcp:')) return { port: Number(address.split(':').pop()), host: '127.0.0.1' };
  return { path: address.slice('unix:'.length) };
}
