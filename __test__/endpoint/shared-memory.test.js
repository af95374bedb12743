'use strict';
// Large messages beside a connection, in memory shared with the peer.

const { test } = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { pair, PLACES } = require('./places.js');
const { serve, connect, alloc, release } = require('../../index.js');
const native = require('../../lib/binding.js');
const { linkOf } = require('../../lib/endpoint/connection.js');

alloc(20_000); // the memory that it is from stays as long as the process
leavesNothing();

const MIB = 1024 * 1024;
const mappings = () => fs.readFileSync('/proc/self/maps', 'latin1').split('memfd:rsipc-slab').length - 1;
const lent = (connection) => linkOf(connection).native.lentToUs();

// A message of each codec with so many bytes in it, and these bytes of one that has arrived.
const FORMS = {
  raw: { make: (bytes) => bytes, bytes: (message) => message },
  v8: { make: (bytes) => ({ list: [bytes], size: BigInt(bytes.length) }), bytes: ({ list, size }) => (size === BigInt(list[0].length) ? list[0] : null) },
  json: { make: (bytes) => ({ text: bytes.toString('latin1') }), bytes: ({ text }) => Buffer.from(text, 'latin1') },
};

const pattern = (size, seed = 0) => Buffer.from(Uint8Array.from({ length: size }, (_, i) => (i * 31 + (i >>> 8) + seed) & 0xFF));

// Resolves when both ends of a pair have memory of the other.
async function settled({ client, accepted }, codec) {
  const { make } = FORMS[codec];
  const big = make(Buffer.alloc(100_000, 'a'));
  for (const [from, to] of [[client, accepted], [accepted, client]]) {
    const got = happened(to, 'message');
    from.send(big);
    await got;
    await until(() => lent(to) > 0, 'memory is shared');
  }
}

for (const codec of Object.keys(FORMS)) {
  for (const payload of ['copy', 'view']) {
    test(`messages of all sizes, requests and answers arrive in order and as they were (${codec}, ${payload})`, async (t) => {
      const { make, bytes } = FORMS[codec];
      const ends = await pair(t, { codec, payload });
      await settled(ends, codec);
      const { client, accepted } = ends;
      const sizes = [0, 1, 16_383, 16_384, 65_535, 65_536, 300_001, 3_000_000];
      for (const [from, to] of [[client, accepted], [accepted, client]]) {
        const got = [];
        const hear = (message) => got.push(Buffer.from(bytes(message)));
        to.on('message', hear);
        for (const [i, size] of sizes.entries()) {
          const message = make(i % 2 === 0 ? pattern(size, i) : alloc(size).fill(pattern(size, i)));
          await from.send(message);
          from.send(make(Buffer.from([i])));
        }
        await until(() => got.length === 2 * sizes.length, 'all');
        for (const [i, size] of sizes.entries()) {
          assert.ok(got[2 * i].equals(pattern(size, i)), `${size} bytes`);
          assert.deepStrictEqual([...got[2 * i + 1]], [i]);
        }
        to.removeListener('message', hear);
        to.handle('turn round', (message) => make(Buffer.from(bytes(message)).reverse()));
        for (const size of [10, 100_000, 1_000_000]) {
          const answer = bytes(await from.request('turn round', make(pattern(size))));
          assert.ok(Buffer.from(answer).equals(pattern(size).reverse()), `${size} bytes`);
        }
      }
    });
  }
}

for (const codec of ['raw', 'v8']) {
  test(`a Buffer by view is where its sender laid it, and one by copy is not (${codec})`, async (t) => {
    const { make, bytes } = FORMS[codec];
    const ends = await pair(t, { codec, client: { payload: 'view' } });
    await settled(ends, codec);
    const { client, accepted } = ends;
    for (const [from, to, seen] of [[accepted, client, 2], [client, accepted, 1]]) {
      const made = alloc(100_000).fill(1);
      // The first one of `alloc` offers the memory that it is in.
      for (let last = false; ; last = linkOf(from).slabs.layMade(made)) {
        if (last) linkOf(from).native.takeBack(1);
        const got = happened(to, 'message');
        from.send(make(made.subarray(50_000)));
        const [message] = await got;
        const buffer = bytes(message);
        assert.deepStrictEqual([buffer.length, buffer[0], buffer[49_999]], [50_000, 1, 1]);
        if (!last) {
          release(buffer); // V8 has no two that begin at one address
          continue;
        }
        made.fill(2); // which a program must not do: it shows whose memory it is
        assert.deepStrictEqual([buffer[0], buffer[49_999]], [seen, seen]);
        assert.strictEqual(release(buffer), true);
        assert.strictEqual(buffer.length, 0);
        break;
      }
      release(made);
    }
  });
}

test('what is broadcast goes beside every connection', async (t) => {
  const ends = await pair(t, { codec: 'raw' });
  const other = await connect(ends.endpoint, { codec: 'raw' });
  t.after(() => other.destroy());
  await until(() => ends.server.connections.size === 2, 'both are connected');
  const got = [0, 0];
  for (const [i, client] of [ends.client, other].entries()) {
    client.on('message', (bytes) => {
      assert.ok(bytes.equals(pattern(200_000, got[i])));
      got[i]++;
    });
  }
  for (let i = 0; i < 20; i++) {
    ends.server.broadcast(pattern(200_000, i));
    await until(() => got[0] === i + 1 && got[1] === i + 1, 'both have it');
  }
  assert.ok(lent(ends.client) > 0 && lent(other) > 0);
});

for (const [what, options] of [
  ['the server wants none', { server: { maxSharedBytes: 0 } }],
  ['the client wants none', { client: { maxSharedBytes: 0 } }],
  ['they are connected by TCP', { place: 'tcp:' }],
]) {
  test(`no memory is shared where ${what}`, async (t) => {
    const before = mappings();
    const { client, accepted } = await pair(t, { codec: 'raw', ...options });
    for (let i = 0; i < 10; i++) {
      const got = happened(accepted, 'message');
      client.send(pattern(200_000, i));
      assert.ok((await got)[0].equals(pattern(200_000, i)));
    }
    assert.deepStrictEqual([lent(client), lent(accepted), mappings()], [0, 0, before]);
  });
}

test('a sender waits for bytes to be taken, also one that reads nothing itself, and loses nothing', async (t) => {
  const ends = await pair(t, { codec: 'raw' });
  await settled(ends, 'raw');
  const { client, accepted } = ends;
  for (const [from, to] of [[accepted, client], [client, accepted]]) {
    for (const paused of [false, true]) {
      if (paused) from.pause();
      to.pause();
      let sent = 0;
      let full = false;
      const sending = (async () => {
        for (; sent < 400; sent++) {
          const room = from.send(Buffer.alloc(100_000, sent));
          full ||= from.queued > 128 * 1024;
          await room;
        }
      })();
      await until(() => full, 'there is no room');
      assert.ok(sent < 400);
      let got = 0;
      const hear = (bytes) => {
        assert.deepStrictEqual([bytes.length, bytes[0], bytes[99_999]], [100_000, got & 255, got & 255]);
        got++;
      };
      to.on('message', hear);
      to.resume();
      await sending;
      await until(() => got === 400, 'all');
      to.removeListener('message', hear);
      from.resume();
    }
  }
});

test('when views hold all the memory messages come without it, and when they end it is used again', async (t) => {
  const ends = await pair(t, { codec: 'raw', payload: 'view', maxSharedBytes: MIB });
  await settled(ends, 'raw');
  const held = [];
  ends.accepted.on('message', (bytes) => held.push(bytes));
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 30; i++) await ends.client.send(Buffer.alloc(100_000, i));
    await until(() => held.length === 30, 'all');
    for (const [i, bytes] of held.entries()) assert.ok(bytes.equals(Buffer.alloc(100_000, i)));
    const views = held.map((bytes) => release(bytes)).filter(Boolean).length;
    assert.ok(views >= 5 && views <= 10, `${views} of 30 were views`);
    held.length = 0;
  }
});

test('a listener that throws, and one that comes late, cost no message', async (t) => {
  const ends = await pair(t, { codec: 'v8', maxEarlyBytes: 4 * MIB });
  await settled(ends, 'v8');
  const got = [];
  const errors = [];
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => errors.push(error.message));
  t.after(() => {
    process.removeAllListeners('uncaughtException');
    for (const other of others) process.on('uncaughtException', other);
  });
  for (let i = 0; i < 5; i++) ends.client.send({ i, bytes: Buffer.alloc(50_000, i) });
  await new Promise((resolve) => setTimeout(resolve, 20));
  ends.accepted.on('message', ({ i, bytes }) => {
    got.push(i);
    assert.ok(bytes.equals(Buffer.alloc(50_000, i)));
    if (i % 3 === 0) throw new Error(`refused ${i}`);
  });
  for (let i = 5; i < 40; i++) ends.client.send({ i, bytes: Buffer.alloc(50_000, i) });
  await until(() => got.length === 40, 'all');
  assert.deepStrictEqual(got, Array.from({ length: 40 }, (_, i) => i));
  assert.strictEqual(errors.length, 14);
});

test('a message that cannot be written takes no memory along', async (t) => {
  const ends = await pair(t, { codec: 'v8', maxSharedBytes: MIB });
  await settled(ends, 'v8');
  for (let i = 0; i < 100; i++) {
    assert.throws(() => ends.client.send({ bytes: Buffer.alloc(500_000), no: () => {} }), /could not be cloned/);
  }
  const got = happened(ends.accepted, 'message');
  ends.client.send(Buffer.alloc(MIB, 7));
  const [bytes] = await got;
  assert.ok(bytes.equals(Buffer.alloc(MIB, 7)));
  assert.strictEqual(release(bytes), true);
});

test('limits hold for what lies beside', async (t) => {
  for (const [codec, message] of [['raw', Buffer.alloc(300_000)], ['v8', [Buffer.alloc(150_000), Buffer.alloc(150_000)]], ['json', 'x'.repeat(300_000)]]) {
    const ends = await pair(t, { codec, server: { maxMessageSize: 250_000 } });
    await settled(ends, codec);
    const failed = happened(ends.server, 'clientError');
    ends.client.send(message);
    assert.strictEqual((await failed)[0].code, 'ERR_RSIPC_MESSAGE_TOO_LARGE');
  }
  const ends = await pair(t, { server: { maxDepth: 100 } });
  await settled(ends, 'json');
  const failed = happened(ends.server, 'clientError');
  ends.client.send({ text: 'x'.repeat(100_000), deep: JSON.parse(`${'['.repeat(101)}${']'.repeat(101)}`) });
  assert.strictEqual((await failed)[0].code, 'ERR_RSIPC_TOO_DEEP');
});

test('memory goes with its connection, and a new one has its own', async (t) => {
  const before = mappings();
  const endpoint = PLACES['unix:'](t);
  let server = await serve(endpoint, { codec: 'raw' });
  t.after(() => server.close());
  const client = await connect(endpoint, { codec: 'raw', reconnect: { min: 1, max: 10 } });
  t.after(() => client.destroy());
  for (let round = 0; round < 3; round++) {
    await until(() => server.connections.size === 1 && client.connected, 'there is a connection');
    const [accepted] = server.connections;
    await settled({ client, accepted }, 'raw');
    // Each end has a slab, and the memory of `alloc`, which the other maps.
    await until(() => mappings() === before + 6, 'all is shared');
    const again = happened(client, 'disconnect');
    accepted.destroy();
    await server.close();
    await again;
    await until(() => mappings() === before, 'the memory is given back');
    server = await serve(endpoint, { codec: 'raw' });
  }
});

for (const victim of ['sender', 'receiver']) {
  test(`a ${victim} that is killed leaves no torn message and no memory`, async (t) => {
    const before = mappings();
    for (let round = 0; round < 5; round++) {
      const endpoint = PLACES['unix:'](t);
      const server = await serve(endpoint, { codec: 'raw' });
      t.after(() => server.close());
      const connected = happened(server, 'connection');
      const child = spawn(process.execPath, [path.join(__dirname, '../fixtures/endpoint/buffers.js'), endpoint, victim === 'sender' ? 'send' : 'receive'], { stdio: ['ignore', 'ignore', 'inherit'] });
      t.after(() => child.kill('SIGKILL'));
      const [accepted] = await connected;
      const closed = happened(accepted, 'close');
      let count = 0;
      if (victim === 'sender') {
        accepted.on('message', (bytes) => {
          assert.ok(bytes.equals(Buffer.alloc(200_000, count)), `message ${count}`);
          count++;
        });
        await until(() => count > 20 + 10 * round, 'some have come');
      } else {
        (async () => {
          for (; !accepted.closed; count++) await accepted.send(Buffer.alloc(200_000, count)).catch(() => {});
        })();
        await until(() => lent(accepted) > 0 && count > 50, 'it receives');
      }
      child.kill('SIGKILL');
      await closed;
      await server.close();
    }
    await until(() => mappings() === before, 'the memory is given back');
  });
}

// A client that says what it likes.
async function hostile(t, endpoint, codec = 'raw') {
  const end = native.connectEndpoint(endpoint, {}, { framing: codec === 'json' ? 'text' : 'bytes', maxMessageSize: MIB, maxDepth: 100 });
  t.after(() => end.close());
  end.open(() => {}, () => {}, true);
  end.hello(JSON.stringify({ codec, pid: 1, slabs: 1 }));
  return end;
}

const BESIDE = 10;

function offer(slab, id = 1) {
  const said = Buffer.from(JSON.stringify({ id, handles: [{ type: 'fd' }], slab }));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(said.length);
  return Buffer.concat([length, said]);
}

const place = (...numbers) => {
  const bytes = Buffer.alloc(20);
  for (const [i, number] of numbers.entries()) bytes.writeUInt32LE(number, 4 * i);
  return bytes;
};

const LIES = {
  'of memory that was never offered': (end, honest) => end.sendBytes(BESIDE, Buffer.concat([Buffer.from([1]), honest]), Buffer.alloc(0), true),
  'of bytes behind the end': (end, honest) => { honest.writeUInt32LE(MIB - 4_096, 12); },
  'of bytes before the blocks': (end, honest) => { honest.writeUInt32LE(64, 12); },
  'of a place that goes round': (end, honest) => { honest.writeUInt32LE(0xFFFF_F000, 12); },
  'of no bytes': (end, honest) => { honest.writeUInt32LE(0, 16); },
  'of a lease that there is not': (end, honest) => { honest.writeUInt32LE(4_096, 4); },
  'of another lending': (end, honest) => { honest.writeUInt32LE(77, 8); },
  'of another slab': (end, honest) => { honest.writeUInt32LE(1, 0); },
};

for (const [codec, text] of [['raw', false], ['v8', false], ['json', true]]) {
  test(`places that a peer makes up end its connection (${codec})`, async (t) => {
    const before = mappings();
    const server = await serve(PLACES['unix:'](t), { codec });
    t.after(() => server.close());
    server.on('connection', (connection) => connection.on('message', () => assert.fail('a message')));
    for (const [what, lie] of Object.entries(LIES)) {
      const failed = happened(server, 'clientError');
      const end = await hostile(t, server.address(), codec);
      const never = what.endsWith('never offered');
      if (!never) {
        end.offerSlab(offer(0), MIB);
        end.slabReady(0);
      }
      const honest = place(0, 0, 1, 20_480, 30_000);
      if (!never) assert.ok(end.lay(text ? Buffer.from(`${'1'.repeat(29_999)}\n`) : Buffer.alloc(30_000), honest));
      lie(end, honest);
      if (!never) end.sendBytes(BESIDE, Buffer.concat([Buffer.from([1]), honest]), Buffer.alloc(0), true);
      const [error] = await failed;
      assert.strictEqual(error.code, 'ERR_RSIPC_MALFORMED_FRAME', what);
      end.close();
    }
    for (const kind of [0, 5, 6, 8, 9, 10, 255]) {
      const failed = happened(server, 'clientError');
      const end = await hostile(t, server.address(), codec);
      end.offerSlab(offer(0), MIB);
      end.sendBytes(BESIDE, Buffer.concat([Buffer.from([kind]), place(0, 0, 1, 20_480, 100)]), Buffer.alloc(0), true);
      assert.strictEqual((await failed)[0].code, 'ERR_RSIPC_MALFORMED_FRAME', `kind ${kind}`);
      end.close();
    }
    await until(() => mappings() === before, 'the memory is given back');
  });
}

test('the same bytes said again and again are a lie, not a thousand messages', async (t) => {
  const server = await serve(PLACES['unix:'](t), { codec: 'raw' });
  t.after(() => server.close());
  let got = 0;
  server.on('connection', (connection) => connection.on('message', () => got++));
  const failed = happened(server, 'clientError');
  const end = await hostile(t, server.address());
  end.offerSlab(offer(0), MIB);
  end.slabReady(0);
  const where = place();
  end.lay(Buffer.alloc(500_000), where);
  const frame = Buffer.concat([Buffer.from([1]), where]);
  for (let i = 0; i < 1_000; i++) end.sendBytes(BESIDE, frame, Buffer.alloc(0), false);
  end.flush();
  assert.strictEqual((await failed)[0].code, 'ERR_RSIPC_MALFORMED_FRAME');
  assert.strictEqual(got, 1);
});

test('memory that could shrink, and more than there is use for, is refused and its descriptor closed', async (t) => {
  const server = await serve(PLACES['unix:'](t), { codec: 'raw' });
  t.after(() => server.close());
  const connected = happened(server, 'connection');
  const end = await hostile(t, server.address());
  const [accepted] = await connected;
  const before = mappings();
  const descriptors = fs.readdirSync('/proc/self/fd').length;
  const file = path.join(path.dirname(server.address().slice(5)), 'file');
  fs.writeFileSync(file, Buffer.alloc(MIB));
  const fd = fs.openSync(file, 'r+');
  for (const slab of [0, 1, 2, -1, 'x', null, 0.5]) end.sendHandles(offer(slab), [fd], true);
  fs.closeSync(fd);
  const asked = happened(accepted, 'message');
  end.sendBytes(1, Buffer.alloc(0), Buffer.from('all read'), true);
  await asked;
  assert.strictEqual(mappings(), before);
  await until(() => fs.readdirSync('/proc/self/fd').length <= descriptors, 'the descriptors are closed');
  end.close();
});
