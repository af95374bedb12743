'use strict';
// How connections fail elsewhere, at every kind of endpoint: values that change on the way, ends that do not understand
// each other, both full at once, a flood, descriptors and contents that get out.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { test } = require('node:test');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { directory, pair } = require('./places.js');
const { serve, connect } = require('../../index.js');

leavesNothing();

const place = (t, scheme) => (scheme === 'tcp:' ? 'tcp://127.0.0.1:0' : `${scheme}${path.join(directory(t), 's')}`);

async function ends(t, scheme, options = {}) {
  const server = await serve(place(t, scheme), options);
  t.after(() => server.close({ timeout: 500 }));
  const connection = happened(server, 'connection'); // of a sender of datagrams, with its first
  const client = await connect(server.address(), options);
  t.after(() => client.destroy());
  return { server, client, connection };
}

// ---- values ----

// What comes of each value; where the two differ JSON has no form for it.
const VALUES = [
  ['text', 'ä漢\u2028\0\ud83d\ude00', (is) => is],
  ['a number', -1.5e300, (is) => is],
  ['minus zero', -0, () => 0],
  ['not a number', NaN, () => null],
  ['infinity', Infinity, () => null],
  ['null', null, (is) => is],
  ['a date', new Date(0), () => '1970-01-01T00:00:00.000Z'],
  ['a map', new Map([[1, new Set([2])]]), () => ({})],
  ['a regular expression', /x/g, () => ({})],
  ['bytes', new Uint8Array([1, 2]), () => ({ 0: 1, 1: 2 })],
  ['undefined within', { a: undefined, b: [undefined, 1] }, () => ({ b: [null, 1] })],
  ['a hole', [1, , 2], () => [1, null, 2]], // oxlint-disable-line no-sparse-arrays
  ['an error', new RangeError('x'), () => ({})],
];

for (const scheme of ['unix:', 'tcp:', 'unix+seqpacket:', 'unix+dgram:']) {
  for (const codec of ['json', 'lines', 'v8']) {
    test(`${scheme} ${codec}: each value comes as the codec has it`, async (t) => {
      const { client, connection } = await ends(t, scheme, { codec });
      for (const [, value] of VALUES) client.send(value);
      const [accepted] = await connection;
      let next = 0;
      for await (const message of accepted) {
        const [what, value, asJson] = VALUES[next];
        assert.deepEqual(message, codec === 'v8' ? value : asJson(value), what);
        if (codec === 'v8' && Object.is(value, -0)) assert.ok(Object.is(message, -0));
        if (++next === VALUES.length) break;
      }
      if (codec !== 'v8') assert.throws(() => client.send(1n), TypeError);
      assert.throws(() => client.send(() => {}));
    });
  }
}

// ---- codecs ----

const CODECS = ['json', 'v8', 'raw', 'lines', 'lsp'];
for (const served of CODECS) {
  for (const used of CODECS.filter((codec) => codec !== served)) {
    test(`a client of codec ${used} at a server of ${served} ends with a reason, and no message is made up`, async (t) => {
      const server = await serve(place(t, 'unix:'), { codec: served, helloTimeout: 200, frameTimeout: 200 });
      t.after(() => server.close({ timeout: 100 }));
      const got = [];
      const problems = [];
      server.on('connection', (connection) => connection.on('message', (message) => got.push(message)));
      server.on('clientError', (error) => problems.push(error.code));
      const options = { codec: used, helloTimeout: 200, frameTimeout: 200 };
      const client = await connect(server.address(), options).catch((error) => error);
      if (!(client instanceof Error)) {
        // Nobody greets with its codec: the first message shows it.
        const closed = happened(client, 'close');
        client.on('error', () => {});
        client.send(used === 'raw' ? Buffer.from('x') : { a: 1 });
        await closed;
      } else {
        assert.match(client.code, /^ERR_RSIPC_/);
      }
      await until(() => problems.length > 0, 'the server to tell');
      assert.match(problems[0], /^ERR_RSIPC_/);
      assert.deepEqual(got, []);
    });
  }
}

// ---- both full ----

for (const scheme of ['unix:', 'tcp:', 'unix+seqpacket:']) {
  test(`${scheme} two ends that send 24 MiB at each other before they listen both finish`, { timeout: 60_000 }, async (t) => {
    const { client, connection } = await ends(t, scheme, { codec: 'raw', maxEarlyBytes: 1 << 30 });
    client.send(Buffer.alloc(1));
    const [accepted] = await connection;
    const piece = Buffer.alloc(200_000, 1);
    const send = async (end) => {
      for (let i = 0; i < 120; i++) await end.send(piece);
    };
    let sent = false;
    Promise.all([send(client), send(accepted)]).then(() => { sent = true; });
    await until(() => sent || client.queued > 0 && accepted.queued > 0, 'both to be full');
    const counts = [client, accepted].map((end) => {
      const count = { bytes: 0 };
      end.on('message', (message) => {
        count.bytes += message.length;
      });
      return count;
    });
    await until(() => counts[0].bytes === 24_000_000 && counts[1].bytes === 24_000_001, 'all to arrive');
  });
}

// ---- a flood ----

for (const [scheme, codec] of [['unix:', 'json'], ['unix:', 'v8'], ['tcp:', 'lines'], ['unix+seqpacket:', 'json'], ['unix+dgram:', 'json']]) {
  test(`${scheme} ${codec}: a peer that floods leaves the loop its turns`, { timeout: 60_000 }, async (t) => {
    const server = await serve(place(t, scheme), { codec });
    t.after(() => server.close({ timeout: 500 }));
    const COUNT = 20_000;
    const flooder = `
      const { connect } = require(${JSON.stringify(require.resolve('../../index.js'))});
      connect(${JSON.stringify(server.address())}, { codec: ${JSON.stringify(codec)} }).then(async (client) => {
        for (let i = 0; i < ${COUNT}; i++) { const room = client.send({ i, filler: 'x'.repeat(100) }); if (i % 50 === 0) await room; }
        await client.close();
      });`;
    let [count, most, turn] = [0, 0, 0];
    const all = new Promise((resolve) => server.on('connection', (connection) => connection.on('message', () => {
      turn++;
      if (++count === COUNT) resolve();
    })));
    let turns = 0;
    const timer = setInterval(() => {
      turns++;
      most = Math.max(most, turn);
      turn = 0;
    }, 0);
    t.after(() => clearInterval(timer));
    const child = require('node:child_process').spawn(process.execPath, ['-e', flooder], { stdio: 'inherit' });
    const exited = happened(child, 'exit');
    await all;
    await exited;
    // 64 KiB are 550 of these; a timer of 1 ms may be due only every few turns.
    assert.ok(turns > 10 && most < COUNT / 2, `${turns} turns, ${most} messages in the longest`);
  });
}

// ---- what gets out ----

test('no descriptor of a server or a client is another program\'s', async (t) => {
  const kept = [];
  const inherited = () => spawnSync('ls', ['/proc/self/fd'], { encoding: 'utf8' }).stdout;
  const before = inherited();
  for (const scheme of ['unix:', 'tcp:', 'unix+seqpacket:', 'unix+dgram:', 'file:', 'fifo:']) {
    const endpoint = scheme === 'file:' ? `${place(t, scheme)}/` : place(t, scheme);
    const server = await serve(endpoint);
    t.after(() => server.close({ timeout: 500 }));
    const connection = happened(server, 'connection');
    const client = await connect(server.address());
    t.after(() => client.destroy());
    client.send(1);
    kept.push((await connection)[0]);
  }
  assert.equal(inherited(), before);
  assert.equal(kept.length, 6);
});

test('what a message says is in no error about it', async (t) => {
  const CANARY = 'canary-7d1f';
  const told = [];
  const options = { maxMessageSize: 2_000, maxDepth: 10, codec: 'lines', frameTimeout: 100 };
  for (const scheme of ['unix:', 'unix+seqpacket:']) {
    for (const line of [`{"${CANARY}":`, `"${CANARY.repeat(1_000)}"`, `["${CANARY}",${'['.repeat(20)}${']'.repeat(20)}]`, `{"__proto__":"${CANARY}"}`]) {
      const server = await serve(place(t, scheme), options);
      const problem = happened(server, 'clientError');
      if (scheme === 'unix:') {
        const socket = net.connect(server.address().slice('unix:'.length));
        socket.on('error', () => {});
        socket.end(`${line}\n`);
      } else {
        spawnSync('python3', ['-c', 'import socket, sys\ns = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect(sys.argv[1]); s.send(sys.argv[2].encode())', server.address().slice(scheme.length), line]);
      }
      const [error] = await problem;
      told.push(error.code);
      assert.ok(!`${error.stack} ${JSON.stringify(error)}`.includes(CANARY), error.stack);
      await server.close({ timeout: 100 });
    }
  }
  assert.deepEqual(told.slice(0, 4), ['ERR_RSIPC_MALFORMED_FRAME', 'ERR_RSIPC_MESSAGE_TOO_LARGE', 'ERR_RSIPC_TOO_DEEP', 'ERR_RSIPC_PROTO_KEY']);
  assert.deepEqual(told.slice(4), told.slice(0, 4));
});

test('what a message says is in no error about it, also where it is a file or a value of v8', async (t) => {
  const CANARY = 'canary-7d1f';
  const told = [];
  const note = (error) => {
    told.push(error.code);
    assert.ok(!`${error.stack} ${JSON.stringify(error)}`.includes(CANARY), error.stack);
  };
  const at = `${directory(t)}/d/`;
  const files = await serve(`file:${at}`);
  t.after(() => files.close({ timeout: 100 }));
  const set = happened(files, 'clientError');
  fs.writeFileSync(`${at}0123456789abcdef.000000000001.msg`, `rsf\x01${CANARY}`, { mode: 0o600 });
  note((await set)[0]);
  const frame = (payload) => {
    const head = Buffer.alloc(6);
    head.writeUInt32LE(payload.length);
    head[4] = 1;
    return Buffer.concat([head, payload]);
  };
  const server = await serve(place(t, 'unix:'), { codec: 'v8' });
  t.after(() => server.close({ timeout: 100 }));
  const problem = happened(server, 'clientError');
  net.connect(server.address().slice('unix:'.length)).on('error', () => {}).resume().end(Buffer.concat([Buffer.from('rsipc/1 {"codec":"v8"}\n'), frame(Buffer.from(`\xff\x0f"${CANARY}`, 'latin1'))]));
  note((await problem)[0]);
  // What handlers throw is quoted, by their own will; what they were asked is not.
  const { client, server: other } = await pair(t);
  other.handle('x', () => 1n);
  await client.request('x', CANARY).catch(note);
  await client.request('nobody', CANARY).catch(note);
  assert.strictEqual(told.length, 4);
});

test('a stranger\'s descriptors, which no frame names, are closed', async (t) => {
  const { server, accepted } = await pair(t, {});
  const before = fs.readdirSync('/proc/self/fd').length;
  for (let round = 0; round < 4; round++) {
    const connection = happened(server, 'connection');
    const { status } = spawnSync('python3', ['-c', `import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM); s.connect(sys.argv[1])
s.sendall(b'rsipc/1 {"codec":"json"}\\n')
for _ in range(50): socket.send_fds(s, [b'\\x02\\0\\0\\0\\x01\\x00' + b'1\\n'], [0, 1, 2] * 10)`, server.address().slice('unix:'.length)], { stdio: 'ignore' }); // what is on its way keeps pipes open
    assert.equal(status, 0);
    const [stranger] = await connection;
    if (!stranger.closed) await happened(stranger, 'close');
  }
  await until(() => fs.readdirSync('/proc/self/fd').length <= before, 'descriptors to be closed');
  assert.equal(accepted.connected, true);
});
