'use strict';
// Messages that travel encoded, in batches, once a connection of codec 'json' has been busy.

const { test } = require('node:test');
const assert = require('node:assert');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { pair, PLACES } = require('./places.js');
const { serve, connect } = require('../../index.js');
const native = require('../../lib/binding.js');
const { linkOf } = require('../../lib/endpoint/connection.js');

leavesNothing();

const BATCH = 11;
const upTo = (count) => Array.from({ length: count }, (_, i) => i);

// So much that what comes next is encoded.
async function warm(from, to) {
  const got = happened(to, 'message');
  from.send({ padding: 'x'.repeat(2 * 1024 * 1024) });
  await got;
}

async function warmPair(t, options) {
  const ends = await pair(t, options);
  await warm(ends.client, ends.accepted);
  await warm(ends.accepted, ends.client);
  return ends;
}

// What was sent by `from` as frames of a kind.
function spy(t, from) {
  const { native: end } = linkOf(from);
  const kinds = [];
  const { sendBytes } = end;
  end.sendBytes = function spied(kind, ...rest) {
    kinds.push(kind);
    return sendBytes.call(this, kind, ...rest);
  };
  t.after(() => { delete end.sendBytes; });
  return kinds;
}

function collect(connection, done = () => {}) {
  const got = [];
  connection.on('message', (message) => {
    got.push(message);
    done(message);
  });
  return got;
}

class Point {
  constructor(x) {
    this.x = x;
    this.hidden = undefined;
  }

  toJSON() {
    return { at: this.x };
  }
}

const VALUES = [
  null, true, 0, -0, 1e300, -12.5, 2 ** 40, '', 'é\u2028 "\\', '\u{1F600} and \uD800 alone', [], {}, [[], [null, [1, 'two']]], { a: { b: { c: [] } } },
  [undefined, () => {}, NaN], { left: undefined, kept: 1 }, new Date(0), new Point(3), { nested: new Point(4) }, new Map([[1, 2]]), Buffer.from('bytes'),
  { 12: 'number', name: 'text' }, { '': 1 }, Object.assign(Object.create(null), { bare: 1 }), 'x'.repeat(100_000), { long: 'é'.repeat(50_000) },
];

for (const place of ['unix:', 'tcp:']) {
  test(`what arrives is what JSON makes of it, in order, both ways (${place})`, async (t) => {
    const { client, accepted } = await warmPair(t, { place });
    for (const [from, to] of [[client, accepted], [accepted, client]]) {
      const kinds = spy(t, from);
      const got = collect(to);
      const sent = [];
      for (let round = 0; round < 40; round++) {
        for (const [number, value] of VALUES.entries()) {
          const message = { round, number, value };
          sent.push(JSON.parse(JSON.stringify(message)));
          const room = from.send(message);
          if (number % 7 === 0) await room;
        }
      }
      await until(() => got.length === sent.length, 'all have come');
      assert.deepStrictEqual(got, sent);
      assert.ok(kinds.includes(BATCH), 'some have come as batches');
    }
  });
}

test('requests, handles and messages keep their order among batches', async (t) => {
  const { client, accepted } = await warmPair(t);
  const kinds = spy(t, client);
  const got = [];
  accepted.on('message', (message) => got.push(message.i));
  accepted.handle('number', (i) => {
    got.push(i);
    return i;
  });
  const asked = [];
  for (const i of upTo(1_000)) {
    if (i % 5 === 4) asked.push(client.request('number', i));
    else client.send({ i, text: 'some' });
    if (i % 100 === 99) await client.ready();
  }
  assert.deepStrictEqual(await Promise.all(asked), upTo(200).map((i) => 5 * i + 4));
  await until(() => got.length === 1_000, 'all have come');
  assert.deepStrictEqual(got, upTo(1_000));
  assert.ok(kinds.includes(BATCH));
});

test('a message whose own code sends another, or has no form, leaves the others as they are', async (t) => {
  const { client, accepted } = await warmPair(t);
  const got = collect(accepted);
  for (const i of upTo(100)) {
    client.send({ i });
    client.send({ get i() {
      client.send({ i: `${i}, within` });
      return `${i}, around`;
    } });
    assert.throws(() => client.send(undefined), { code: 'ERR_RSIPC_NOT_SERIALIZABLE' });
    const round = { i };
    round.round = round;
    assert.throws(() => client.send(round), TypeError);
    client.send({ get i() {
      client.request('none').catch(() => {});
      return `${i}, last`;
    } });
  }
  await until(() => got.length === 400, 'all have come');
  assert.deepStrictEqual(got.map(({ i }) => i), upTo(100).flatMap((i) => [i, `${i}, within`, `${i}, around`, `${i}, last`]));
});

test('a listener that throws costs no other message, and each of its errors is told', async (t) => {
  const { client, accepted } = await warmPair(t);
  const kinds = spy(t, client);
  const thrown = [];
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => thrown.push(error.message));
  t.after(() => {
    process.removeAllListeners('uncaughtException');
    for (const other of others) process.on('uncaughtException', other);
  });
  const got = collect(accepted, ({ i }) => {
    if (i % 10 === 0) throw new Error(`at ${i}`);
  });
  for (const i of upTo(100)) client.send({ i });
  await until(() => got.length === 100, 'all have come');
  assert.deepStrictEqual(got.map(({ i }) => i), upTo(100));
  assert.deepStrictEqual(thrown, upTo(10).map((i) => `at ${10 * i}`));
  assert.ok(kinds.includes(BATCH));
});

test('nothing of a batch is told behind the message with which a listener ends the connection', async (t) => {
  const { client, accepted } = await warmPair(t);
  const got = collect(accepted, ({ i }) => i === 5 && accepted.destroy());
  const gone = happened(client, 'close');
  for (const i of upTo(100)) client.send({ i });
  await gone;
  assert.deepStrictEqual(got.map(({ i }) => i), upTo(6));
});

for (const [what, options, message, code] of [
  ['longer than maxMessageSize', { maxMessageSize: 3 * 1024 * 1024 }, { text: 'é'.repeat(1_700_000) }, 'ERR_RSIPC_MESSAGE_TOO_LARGE'],
  ['nested deeper than maxDepth', { maxDepth: 5 }, { a: [[[[[1]]]]] }, 'ERR_RSIPC_TOO_DEEP'],
  ['with a key __proto__', { protoAction: 'error' }, JSON.parse('{"a":{"__proto__":1}}'), 'ERR_RSIPC_PROTO_KEY'],
]) {
  test(`a message ${what} ends the connection, behind those before it`, async (t) => {
    const { client, accepted } = await warmPair(t, { server: options });
    const kinds = spy(t, client);
    const got = collect(accepted);
    for (const i of upTo(100)) client.send({ i, a: i });
    const failed = happened(accepted, 'error');
    client.send(message);
    client.send({ i: 'behind' });
    const [error] = await failed;
    assert.strictEqual(error.code, code);
    assert.deepStrictEqual(got.map(({ i }) => i), upTo(100));
    assert.ok(kinds.includes(BATCH));
  });
}

test('many short messages arrive, however few bytes each of them may have', async (t) => {
  const { client, accepted } = await pair(t, { server: { maxMessageSize: 100 } });
  const got = collect(accepted);
  for (const i of upTo(100_000)) {
    const room = client.send({ i, text: 'a message like any other' });
    if (i % 10_000 === 0) await room;
  }
  await until(() => got.length === 100_000, 'all have come');
  assert.ok(got.every(({ i }, place) => i === place));
  const failed = happened(accepted, 'error');
  client.send({ text: 'x'.repeat(100) });
  const [error] = await failed;
  assert.strictEqual(error.code, 'ERR_RSIPC_MESSAGE_TOO_LARGE');
});

test('who does not say that it reads batches gets none', async (t) => {
  const server = await serve(PLACES['unix:'](t));
  t.after(() => server.close({ timeout: 1_000 }));
  const accepted = happened(server, 'connection');
  const end = native.connectEndpoint(server.address(), {}, { framing: 'text', maxMessageSize: 1e9, maxDepth: 100 });
  t.after(() => end.close());
  const kinds = new Set();
  end.open((found) => typeof found === 'number' && found & 1 && kinds.add(found >>> 8) && end.takeText(), () => {}, true);
  end.hello(JSON.stringify({ codec: 'json', pid: 1 }));
  const [connection] = await accepted;
  for (const i of upTo(100)) await connection.send({ i, padding: 'x'.repeat(40_000) });
  assert.strictEqual(linkOf(connection).outgoing, null);
  assert.ok(!kinds.has(BATCH));
});

const words = (...numbers) => Buffer.from(new Int32Array(numbers).buffer);
const LIES = {
  'is too short': Buffer.from('short'),
  'has no words': words(0, 0, 0),
  'has more words than bytes': words(5, 0, 0, 8),
  'has so many words that they overflow': words(-1, 0, 0, 8),
  'has more text than bytes': words(1, 9, 0, 8),
  'has less text than bytes': words(1, 0, 0, 8, 8),
  'has bits that mean nothing': words(1, 0, 4, 8),
  'speaks of keys that were never told': words(1, 0, 0, 4),
  'ends within a value': words(1, 0, 0, 5 << 3 | 5),
};

for (const [what, bytes] of Object.entries(LIES)) {
  test(`a batch that ${what} ends the connection and nothing else`, async (t) => {
    const server = await serve(PLACES['unix:'](t));
    t.after(() => server.close({ timeout: 1_000 }));
    const problem = happened(server, 'clientError');
    const end = native.connectEndpoint(server.address(), {}, { framing: 'text', maxMessageSize: 1e6, maxDepth: 100 });
    t.after(() => end.close());
    end.open(() => {}, () => {}, true);
    end.hello(JSON.stringify({ codec: 'json', pid: 1, batches: 1 }));
    end.sendBytes(BATCH, Buffer.alloc(0), bytes, true);
    const [error] = await problem;
    assert.strictEqual(error.code, 'ERR_RSIPC_MALFORMED_FRAME');
  });
}

test('what is broadcast arrives in order with what is sent to one, also at who comes later', async (t) => {
  const server = await serve(PLACES['unix:'](t));
  t.after(() => server.close({ timeout: 1_000 }));
  const ends = [];
  const join = async () => {
    const accepted = happened(server, 'connection');
    const client = await connect(server.address());
    t.after(() => client.destroy());
    ends.push({ client, got: collect(client), connection: (await accepted)[0], from: sent });
  };
  let sent = 0;
  await join();
  await join();
  const cast = async (count) => {
    for (let i = 0; i < count; i++) {
      const message = { i: sent++, text: 'to all', more: sent % 3 === 0 ? [sent] : null };
      if (sent % 50 === 0) for (const { connection } of ends) connection.send(message);
      else assert.strictEqual(server.broadcast(message), ends.length);
      if (i % 500 === 499) await Promise.all(ends.map(({ connection }) => connection.ready()));
    }
  };
  server.broadcast({ i: sent++, padding: 'x'.repeat(2 * 1024 * 1024) });
  await cast(2_000);
  await join();
  const kinds = spy(t, ends[2].connection);
  await cast(2_000);
  for (const { got, from } of ends) {
    await until(() => got.length === sent - from, 'all have come');
    assert.deepStrictEqual(got.map(({ i }) => i), upTo(sent).slice(from));
    assert.deepStrictEqual(got.at(-1), { i: sent - 1, text: 'to all', more: sent % 3 === 0 ? [sent] : null });
  }
  assert.ok(kinds.includes(BATCH));
});

test('a connection that was lost begins anew', async (t) => {
  const { server, client, accepted } = await warmPair(t, { client: { reconnect: { min: 1, max: 10 } } });
  const first = collect(accepted);
  for (const i of upTo(200)) client.send({ i });
  await until(() => first.length === 200, 'all have come');
  const again = happened(server, 'connection');
  accepted.destroy();
  const [connection] = await again;
  const second = collect(connection);
  for (const i of upTo(200)) client.send({ i });
  await until(() => second.length === 200, 'all have come');
  assert.deepStrictEqual(second.map(({ i }) => i), upTo(200));
});
