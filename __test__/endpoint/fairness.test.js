'use strict';
// A peer that floods gets so much of a turn of the loop and no more, at every kind of endpoint: timers and others have
// their turns. Counted, not timed.

const { test } = require('node:test');
const assert = require('node:assert');
const net = require('node:net');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { leavesNothing, ownRunDirectory } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { directory } = require('./places.js');
const { serve, openBus } = require('../../index.js');

leavesNothing();
ownRunDirectory();

const INDEX = JSON.stringify(require.resolve('../../index.js'));
// What one turn reads, and the last piece of it.
const BUDGET = 128 * 1024;

// The most of something in one turn of the loop.
function inTurns(t) {
  const counted = { most: 0, turns: 0, now: 0, all: 0 };
  let over = false;
  const turn = () => {
    if (counted.now > 0) counted.turns++;
    counted.most = Math.max(counted.most, counted.now);
    counted.now = 0;
    if (!over) setImmediate(turn);
  };
  setImmediate(turn);
  t.after(() => { over = true; });
  counted.add = (amount) => {
    counted.now += amount;
    counted.all += amount;
  };
  return counted;
}

// Another process that runs this; it is ended with the test.
function flooder(t, code) {
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = happened(child, 'exit');
  t.after(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return child;
}

const place = (t, scheme) => (scheme === 'tcp:' ? 'tcp://127.0.0.1:0' : scheme === 'file:' ? `file:${directory(t)}/d/` : `${scheme}${path.join(directory(t), 's')}`);

const fileOf = (server) => server.address().slice('unix:'.length);

// Bytes as short as messages get, as fast as a socket takes them.
const frame = (text, kind = 1) => {
  const head = Buffer.alloc(6);
  head.writeUInt32LE(text.length);
  head[4] = kind;
  return Buffer.concat([head, Buffer.from(text)]);
};
const STREAMS = [
  ['unix:', 'lines', '', '1\n'],
  ['tcp:', 'lines', '', '1\n'],
  ['unix:', 'json', 'rsipc/1 {"codec":"json"}\n', frame('1\n').toString('latin1')],
  ['unix:', 'raw', 'rsipc/1 {"codec":"raw"}\n', frame('1').toString('latin1')],
  ['unix:', 'lsp', '', 'Content-Length: 1\r\n\r\n1'],
];
for (const [scheme, codec, hello, message] of STREAMS) {
  test(`${scheme} ${codec}: a turn tells no more messages than ${BUDGET} bytes hold`, { timeout: 60_000 }, async (t) => {
    const server = await serve(place(t, scheme), { codec });
    t.after(() => server.close({ timeout: 100 }));
    const counted = inTurns(t);
    server.on('connection', (connection) => connection.on('message', () => counted.add(message.length)));
    const { port, path: file } = scheme === 'tcp:' ? { port: Number(server.address().split(':').at(-1)) } : { path: server.address().slice('unix:'.length) };
    const socket = net.connect(port === undefined ? { path: file } : { port, host: '127.0.0.1' });
    await happened(socket, 'connect');
    socket.destroy(); // it listens
    flooder(t, `
      const socket = require('node:net').connect(${port === undefined ? `{ path: ${JSON.stringify(file)} }` : `{ port: ${port}, host: '127.0.0.1' }`});
      socket.on('error', () => {}).resume();
      socket.write(Buffer.from(${JSON.stringify(hello)}, 'latin1'));
      const bytes = Buffer.from(${JSON.stringify(message)}.repeat(100_000), 'latin1');
      const more = () => { while (socket.write(bytes)); };
      socket.on('drain', more);
      more();`);
    await until(() => counted.all > 8 * 1024 * 1024, 'enough to be told');
    assert.ok(counted.most <= BUDGET + message.length, `${counted.most} bytes in one turn`);
    assert.ok(counted.turns > 60, `${counted.turns} turns`);
  });
}

for (const scheme of ['unix+dgram:', 'unix+seqpacket:', 'udp:', 'file:', 'fifo:']) {
  const options = scheme === 'fifo:' ? {} : { codec: 'json' };
  test(`${scheme} a turn tells no more messages than ${BUDGET} bytes hold`, { timeout: 60_000 }, async (t) => {
    const server = await serve(scheme === 'udp:' ? 'udp://127.0.0.1:0' : place(t, scheme), options);
    t.after(() => server.close({ timeout: 100 }));
    const counted = inTurns(t);
    server.on('connection', (connection) => connection.on('message', (message) => counted.add(message.length)));
    const ENOUGH = scheme === 'file:' ? 2_000 * 100 : 1024 * 1024;
    const child = flooder(t, `
      const { connect } = require(${INDEX});
      connect(${JSON.stringify(server.address())}, ${JSON.stringify(options)}).then(async (client) => {
        for (;;) {
          let room;
          for (let count = 0; count < 100; count++) { room = client.send('x'.repeat(100)); room.catch(() => process.exit()); }
          await room;
        }
      });`);
    try {
      await until(() => counted.all > ENOUGH, 'enough to be told');
    } finally {
      const ended = happened(child, 'exit');
      child.kill('SIGKILL');
      await ended; // before its directory goes
    }
    assert.ok(counted.most <= BUDGET, `${counted.most} bytes in one turn`);
    assert.ok(counted.turns > ENOUGH / BUDGET, `${counted.turns} turns`);
  });
}

test('a turn makes no more than 128 handles', { timeout: 60_000 }, async (t) => {
  const server = await serve(place(t, 'unix:'));
  t.after(() => server.close({ timeout: 100 }));
  const counted = inTurns(t);
  // At once: of handles that nobody listens for few are kept.
  server.on('connection', (connection) => connection.on('message', (message, handle) => {
    counted.add(1);
    handle.close();
  }));
  const child = flooder(t, `
    const { connect, Fd } = require(${INDEX});
    connect(${JSON.stringify(server.address())}).then(async (client) => {
      for (let round = 0; round < 20; round++) await Promise.all(Array.from({ length: 200 }, () => client.send(1, new Fd(0))));
      await client.close();
    });`);
  await happened(child, 'exit');
  assert.strictEqual(counted.all, 4_000);
  assert.ok(counted.most <= 128, `${counted.most} in one turn`);
});

test('requests of a peer that floods are answered so many in a turn', { timeout: 60_000 }, async (t) => {
  const server = await serve(place(t, 'unix:'));
  t.after(() => server.close({ timeout: 100 }));
  const counted = inTurns(t);
  server.handle('ask', () => {
    counted.add(10); // the shortest there is
    return 1;
  });
  flooder(t, `
    const { connect } = require(${INDEX});
    connect(${JSON.stringify(server.address())}).then(async (client) => {
      for (;;) await Promise.all(Array.from({ length: 1_000 }, () => client.request('ask')));
    });`);
  await until(() => counted.all > 10 * 100_000, 'enough to be asked');
  assert.ok(counted.most <= BUDGET, `${counted.most} bytes in one turn`);
});

test('a member that floods a bus leaves the others their turns', { timeout: 60_000 }, async (t) => {
  const endpoint = `rsipc:test.fair.${process.pid}`;
  const bus = await openBus(endpoint);
  t.after(() => bus.close());
  const counted = inTurns(t);
  await bus.subscribe('flood', (message) => counted.add(message.length));
  flooder(t, `
    const { openBus } = require(${INDEX});
    openBus(${JSON.stringify(endpoint)}).then(async (bus) => {
      for (;;) await Promise.all(Array.from({ length: 200 }, () => bus.publish('flood', 'x'.repeat(100))));
    });`);
  await until(() => counted.all > 1024 * 1024, 'enough to be told');
  assert.ok(counted.most <= BUDGET, `${counted.most} bytes in one turn`);
});

test('a crowd that connects and says nothing keeps nobody out who does', { timeout: 60_000 }, async (t) => {
  const { connect } = require('../../index.js');
  const server = await serve(place(t, 'unix:'), { maxConnections: 20, helloTimeout: 60_000 });
  t.after(() => server.close({ timeout: 100 }));
  server.handle('ping', () => 'pong');
  const given = [];
  server.on('clientError', (error) => given.push(error.code));
  const silent = Array.from({ length: 60 }, () => net.connect(fileOf(server)).on('error', () => {}).resume());
  t.after(() => silent.forEach((socket) => socket.destroy()));
  await Promise.all(silent.map((socket) => happened(socket, 'connect')));
  await until(() => server.pending.size === 20, 'the crowd');
  const clients = [];
  for (let count = 0; count < 20; count++) {
    const client = await connect(server.address(), { reconnect: { min: 10, max: 50 } });
    clients.push(client);
    assert.strictEqual(await client.request('ping'), 'pong');
  }
  assert.deepStrictEqual(new Set(given), new Set(['ERR_RSIPC_HELLO_TIMEOUT']));
  // Who has said hello stays.
  await assert.rejects(connect(server.address()), { code: 'ERR_RSIPC_REFUSED' });
  assert.deepStrictEqual(await Promise.all(clients.map((client) => client.request('ping'))), clients.map(() => 'pong'));
  await Promise.all(clients.map((client) => client.close()));
});
