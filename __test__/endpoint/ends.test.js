'use strict';
// How connections end while something is under way: what was accepted arrives, nothing stays behind, nobody is kept waiting.

const { test } = require('node:test');
const assert = require('node:assert');
const { execFileSync, spawn, spawnSync } = require('node:child_process');
const dgram = require('node:dgram');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const tls = require('node:tls');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, until, within } = require('../helpers/wait.js');
const { thrown } = require('../helpers/thrown.js');
const { pair, directory, PLACES } = require('./places.js');
const { serve, connect, Fd } = require('../../index.js');

leavesNothing();

const MARK = 100_000;
const BODY = 'x'.repeat(10_000);
const hello = (more) => `rsipc/1 ${JSON.stringify({ codec: 'json', pid: 1, ...more })}\n`;
const [MESSAGE, BYE] = [1, 8];

function frame(kind, payload, flags = 0) {
  const bytes = Buffer.from(payload);
  const head = Buffer.alloc(6);
  head.writeUInt32LE(bytes.length);
  head[4] = kind;
  head[5] = flags;
  return Buffer.concat([head, bytes]);
}

const descriptors = () => fs.readdirSync('/proc/self/fd').length;

function anFd() {
  const number = fs.openSync('/dev/null');
  const fd = new Fd(number); // has a duplicate
  fs.closeSync(number);
  return fd;
}

// A server that says what it is told to, to whoever connects.
async function raw(t, said) {
  const file = path.join(directory(t), 's');
  const sockets = [];
  const server = net.createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {}).resume();
    said(socket, sockets.length);
  });
  await new Promise((resolve) => server.listen(file, resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `unix:${file}`;
}

test('a server that says farewell and is gone in one breath is come back to, once', async (t) => {
  const endpoint = await raw(t, (socket, count) => {
    socket.write(hello());
    if (count === 1) socket.once('data', () => setTimeout(() => socket.end(frame(BYE, '')), 50));
  });
  let lost = 0;
  const client = await connect(endpoint, { reconnect: { min: 5, max: 10 } });
  t.after(() => client.destroy());
  const texts = thrown(t);
  client.pause(); // both are read when the end has come
  client.once('disconnect', () => client.resume());
  client.on('disconnect', () => lost++);
  await happened(client, 'reconnect');
  await new Promise((resolve) => setTimeout(resolve, 100)); // a second attempt would have been made
  assert.strictEqual(lost, 1);
  assert.deepStrictEqual(texts, []);
});

test('why the peer has gone is told, if it said so', async (t) => {
  const endpoint = await raw(t, (socket) => {
    socket.write(hello());
    socket.once('data', () => setTimeout(() => socket.write(frame(BYE, 'going for lunch')), 50));
  });
  const client = await connect(endpoint);
  const [error] = await happened(client, 'close', 10_000);
  assert.strictEqual(error?.code, 'ERR_RSIPC_PEER_GONE');
  assert.match(error.message, /going for lunch/);
});

test('a client that is closed while it waits to connect again does not keep the process', () => {
  const source = `
    const { serve, connect } = require(${JSON.stringify(path.join(__dirname, '../../index.js'))});
    (async () => {
      const server = await serve('rsipc:test.wait.${process.pid}');
      const client = await connect('rsipc:test.wait.${process.pid}', { reconnect: { min: 100_000, max: 100_000 } });
      const other = await connect('rsipc:test.wait.${process.pid}', { reconnect: { min: 100_000, max: 100_000 } });
      client.once('reconnecting', () => client.close());
      other.once('reconnecting', () => setImmediate(() => other.unref()));
      await server.close();
    })();`;
  const { status, signal } = spawnSync(process.execPath, ['-e', source], { timeout: 30_000, stdio: 'inherit' });
  assert.deepStrictEqual([status, signal], [0, null]);
});

test('close: answers that were asked for as JSON-RPC are given', async (t) => {
  const { server, client } = await pair(t, { codec: 'lines', jsonRpc: true });
  let begun;
  const running = new Promise((resolve) => { begun = resolve; });
  server.handle('slow', async () => {
    begun();
    await new Promise((resolve) => setTimeout(resolve, 50));
    return 'an answer';
  });
  const answered = client.request('slow');
  await running;
  const closed = server.close();
  assert.strictEqual(await answered, 'an answer');
  await closed;
});

test('close({ timeout: 0 }) waits for nobody', async (t) => {
  const { client, accepted } = await pair(t, { closeTimeout: 60_000 });
  accepted.pause();
  await within(client.close({ timeout: 0 }), 'the end', 20_000);
});

test('close with an endless timeout does not end at once', async (t) => {
  const { client, accepted } = await pair(t, { closeTimeout: Infinity });
  const got = [];
  accepted.on('message', (message) => got.push(message));
  accepted.pause();
  for (let i = 0; i < 100; i++) client.send(BODY);
  const closed = client.close();
  setTimeout(() => accepted.resume(), 50);
  await closed;
  await until(() => got.length === 100, 'all have come');
});

for (const codec of ['json', 'raw']) {
  const make = (number) => (codec === 'raw' ? Buffer.alloc(10_000, String(number).padStart(8)) : `${String(number).padStart(8)}${BODY}`);
  const number = (message) => Number(codec === 'raw' ? message.toString('latin1', 0, 8) : message.slice(0, 8));

  test(`drop-oldest: what is left comes in its order, up to the last one before close (${codec})`, async (t) => {
    const { client, accepted } = await pair(t, { codec, client: { highWaterMark: 4 * MARK, slowPeer: 'drop-oldest', closeTimeout: 30_000, maxSharedBytes: 0 } });
    const got = [];
    accepted.on('message', (message) => got.push(number(message)));
    accepted.pause();
    let sent = 0;
    while (client.dropped < 10) {
      client.send(make(sent++));
      if (sent % 8 === 0) await new Promise(setImmediate);
    }
    // It makes room step by step; what is sent meanwhile comes behind what waits.
    for (let turn = 0; turn < 20; turn++) {
      accepted.resume();
      await new Promise(setImmediate);
      accepted.pause();
      for (let i = 0; i < 2; i++) client.send(make(sent++));
      await new Promise(setImmediate);
    }
    for (const { dropped } = client; client.dropped === dropped;) client.send(make(sent++));
    const closed = client.close();
    accepted.resume();
    await closed;
    await until(() => accepted.closed, 'the end is read');
    assert.deepStrictEqual(got, got.toSorted((a, b) => a - b));
    assert.strictEqual(got.at(-1), sent - 1);
    assert.strictEqual(got.length, sent - client.dropped);
  });
}

test('drop-oldest: what is kept of a Buffer is what it was when it was sent', async (t) => {
  const { client, accepted } = await pair(t, { codec: 'raw', client: { highWaterMark: MARK, slowPeer: 'drop-oldest', maxSharedBytes: 0 } });
  const wrong = [];
  let count = 0;
  accepted.on('message', (message) => {
    count++;
    if (message.some((byte) => byte === 0)) wrong.push(count);
  });
  accepted.pause();
  let sent = 0;
  while (client.dropped < 2) {
    const bytes = Buffer.alloc(20_000, 1);
    client.send(bytes);
    bytes.fill(0);
    if (++sent % 8 === 0) await new Promise(setImmediate);
  }
  accepted.resume();
  await until(() => count === sent - client.dropped, 'all have come');
  assert.deepStrictEqual(wrong, []);
});

test('broadcast: what arrives is what the Buffer was when it was sent', async (t) => {
  const { server, client } = await pair(t, { codec: 'raw' });
  const bytes = Buffer.from('as it was');
  server.broadcast(bytes);
  bytes.fill('x');
  const [message] = await happened(client, 'message');
  assert.strictEqual(String(message), 'as it was');
});

test('handles that wait to be told when the connection goes are closed', async (t) => {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { client, accepted } = await pair(t);
  accepted.on('message', (message, handle) => handle.close());
  await client.send('warm', anFd());
  const before = descriptors();
  for (let round = 0; round < 10; round++) {
    const ends = await pair(t);
    const ended = happened(ends.accepted, 'close');
    ends.accepted.on('message', (message, handle) => {
      handle?.close();
      if (message === 'go') process.nextTick(() => ends.accepted.destroy());
    });
    // The server has to listen first, and what comes behind waits for that.
    const fds = Array.from({ length: 10 }, anFd);
    ends.client.send('go');
    ends.client.send('a server', server).catch(() => {});
    for (const fd of fds) ends.client.send('handle', fd).catch(() => {});
    await ended;
    for (const fd of fds) fd.close();
    await ends.server.close();
    if (!ends.client.closed) await happened(ends.client, 'close');
  }
  await until(() => descriptors() <= before, 'they are closed', 10_000);
});

test('for await: a message with a handle is refused, and costs none of those behind it', async (t) => {
  const { client, accepted } = await pair(t);
  const got = [];
  const read = (async () => {
    for await (const message of accepted) {
      got.push(message);
      if (message === 'last') break;
    }
  })();
  client.send('first');
  await assert.rejects(client.send('a handle', anFd()), { code: 'ERR_RSIPC_HANDLE_REJECTED' });
  client.send('last');
  await read;
  assert.deepStrictEqual(got, ['first', 'last']);
});

test('a reader that begins among messages gets each of them once, in their order', async (t) => {
  const { client, accepted } = await pair(t);
  const got = [];
  let read;
  accepted.handle('begin', () => {
    read = (async () => {
      for await (const message of accepted) if (got.push(message) === 4) break;
    })();
  });
  client.send(1);
  client.send(2);
  const begun = client.request('begin');
  client.send(3);
  client.send(4);
  await begun;
  await read;
  assert.deepStrictEqual(got, [1, 2, 3, 4]);
});

test('whoever waits for messages of a reader is answered: several at once, and when it is left', async (t) => {
  const { client, accepted } = await pair(t);
  const reader = accepted[Symbol.asyncIterator]();
  const asked = [reader.next(), reader.next(), reader.next()];
  client.send('one');
  client.send('two');
  assert.deepStrictEqual([(await asked[0]).value, (await asked[1]).value], ['one', 'two']);
  await reader.return();
  assert.deepStrictEqual(await within(asked[2], 'the end', 10_000), { value: undefined, done: true });
  const other = accepted[Symbol.asyncIterator]();
  const left = [other.next(), other.next()];
  client.close();
  for (const one of left) assert.strictEqual((await within(one, 'the end', 10_000)).done, true);
});

test('time in which it is not read is no delay of what is incomplete', async (t) => {
  const { server, accepted: idle } = await pair(t, { server: { frameTimeout: 600 } });
  idle.on('message', () => {});
  const connection = happened(server, 'connection');
  const socket = net.connect(server.address().slice('unix:'.length));
  t.after(() => socket.destroy());
  socket.on('error', () => {}).resume();
  const text = Buffer.from('"as long as it is"\n');
  const whole = frame(MESSAGE, text);
  socket.write(Buffer.concat([Buffer.from(hello()), whole.subarray(0, 10)]));
  const [accepted] = await connection;
  const got = happened(accepted, 'message');
  await new Promise((resolve) => setTimeout(resolve, 400)); // the beginning is read
  accepted.pause();
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  accepted.resume();
  setTimeout(() => socket.write(whole.subarray(10)), 350);
  assert.deepStrictEqual(await Promise.race([got, happened(accepted, 'close')]), ['as long as it is']);
});

test('a child that has closed its stdin is heard until it has nothing more to say', async (t) => {
  const source = `
    require('fs').closeSync(0);
    let left = 40;
    const timer = setInterval(() => {
      console.log(left--);
      if (left === 0) clearInterval(timer);
    }, 10);`;
  const child = spawn(process.execPath, ['-e', source], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const tool = await connect(child, { codec: 'lines' });
  let count = 0;
  tool.on('message', () => {
    if (++count === 3) tool.send('nobody reads this');
  });
  await happened(tool, 'close');
  assert.strictEqual(count, 40);
});

test('a sender of datagrams whose socket is gone is told, and does not stay', async (t) => {
  const server = await serve('udp://127.0.0.1:0', { idleTimeout: 50 });
  t.after(() => server.close());
  const socket = dgram.createSocket('udp4');
  t.after(() => socket.close());
  const client = await connect(server.address());
  client.send(1);
  const [connection] = await happened(server, 'connection');
  await client.close();
  await happened(connection, 'close');
  assert.strictEqual(server.connections.size, 0);
});

test('a handle for which there is no descriptor is refused, and the connection goes on', () => {
  const source = `
    const fs = require('node:fs');
    const { serve, connect, Fd } = require(${JSON.stringify(path.join(__dirname, '../../index.js'))});
    (async () => {
      const server = await serve('rsipc:test.full.${process.pid}');
      server.on('connection', (one) => one.on('message', (message, handle) => {
        handle?.close();
        one.send(message);
      }));
      const client = await connect('rsipc:test.full.${process.pid}');
      const answers = [];
      client.on('message', (message) => answers.push(message));
      await client.send('one', new Fd(fs.openSync('/dev/null')));
      const fd = new Fd(fs.openSync('/dev/null'));
      const open = [];
      try {
        for (;;) open.push(fs.openSync('/dev/null'));
      } catch {}
      const error = await client.send('with a handle', fd).catch((failure) => failure);
      for (const one of open) fs.closeSync(one);
      await client.send('with another', new Fd(fs.openSync('/dev/null')));
      await client.request('none').catch(() => {});
      console.log(error?.code, client.connected, answers.join());
      await client.close();
      await server.close();
    })();`;
  const { stdout } = spawnSync('sh', ['-c', 'ulimit -n 64; exec "$0" -e "$1"', process.execPath, source], { timeout: 30_000, stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' });
  assert.strictEqual(stdout, 'EMFILE true one,with another\n');
});

function certificate(t) {
  const folder = directory(t);
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
    '-subj', '/CN=localhost', '-keyout', 'key.pem', '-out', 'cert.pem'], { cwd: folder, stdio: 'ignore' });
  return { key: fs.readFileSync(path.join(folder, 'key.pem')), cert: fs.readFileSync(path.join(folder, 'cert.pem')) };
}

test('tls: who completes the handshake when the server has closed is sent away, and an end that is not read goes', async (t) => {
  const credentials = certificate(t);
  const server = await serve('tls://127.0.0.1:0', { tls: credentials });
  const port = Number(server.address().split(':').at(-1));
  const early = net.connect(port, '127.0.0.1');
  await happened(early, 'connect');
  await new Promise(setImmediate); // the server has it
  const stuck = tls.connect({ port, host: '127.0.0.1', ca: credentials.cert, servername: 'localhost', checkServerIdentity: () => undefined });
  await happened(stuck, 'secureConnect');
  const connection = happened(server, 'connection');
  stuck.write(hello());
  stuck.pause();
  const [accepted] = await connection;
  for (let i = 0; i < 100; i++) accepted.send('x'.repeat(100_000));
  const closed = server.close();
  const late = tls.connect({ socket: early, ca: credentials.cert, servername: 'localhost', checkServerIdentity: () => undefined });
  late.on('error', () => {}).resume();
  await happened(late, 'close');
  const ended = happened(stuck, 'close');
  accepted.destroy();
  await closed;
  stuck.resume().on('error', () => {});
  await ended;
});

test('close: what was sent while there was no server is written if one comes in time, and nothing more is taken', async (t) => {
  const endpoint = PLACES['rsipc:'](t);
  const first = await serve(endpoint);
  const client = await connect(endpoint, { reconnect: { min: 50, max: 50 }, closeTimeout: 30_000 });
  const lost = happened(client, 'disconnect');
  await first.close();
  await lost;
  client.send('kept');
  const closed = client.close();
  await assert.rejects(client.send('late'), { code: 'ERR_RSIPC_CLOSED' });
  await assert.rejects(client.request('late'), { code: 'ERR_RSIPC_CLOSED' });
  const second = await serve(endpoint);
  t.after(() => second.close({ timeout: 500 }));
  const got = [];
  second.on('connection', (connection) => connection.on('message', (message) => got.push(message)));
  await closed;
  assert.deepStrictEqual(got, ['kept']);
});

test('close: of a client that nobody answers, what it keeps is given up in time', async (t) => {
  const endpoint = PLACES['rsipc:'](t);
  const server = await serve(endpoint);
  const client = await connect(endpoint, { reconnect: { min: 100_000, max: 100_000 }, closeTimeout: 50 });
  const lost = happened(client, 'disconnect');
  await server.close();
  await lost;
  client.send('kept');
  await assert.rejects(within(client.close(), 'the end', 20_000), { code: 'ERR_RSIPC_UNSENT' });
  assert.strictEqual(client.closed, true);
});

test('a host that has several addresses is found at the one where somebody listens', async (t) => {
  const dns = require('node:dns/promises');
  const { lookup } = dns;
  t.after(() => { dns.lookup = lookup; });
  dns.lookup = async () => ['127.0.0.3', '127.0.0.2', '127.0.0.1'].map((address) => ({ address, family: 4 }));
  const server = await serve('tcp://127.0.0.1:0');
  const port = server.address().split(':').at(-1);
  const client = await connect(`tcp://several.test:${port}`);
  await client.close();
  await server.close();
  await assert.rejects(connect(`tcp://several.test:${port}`), { code: 'ECONNREFUSED' });
});

test('messages with handles wait for a peer that does not read as others do, up to maxOutbox', async (t) => {
  const { client, accepted } = await pair(t, { client: { maxOutbox: 2_000_000 } });
  accepted.on('message', (message, handle) => handle.close());
  accepted.pause();
  const sent = [];
  let refused = null;
  for (let i = 0; i < 40 && refused === null; i++) {
    const fd = anFd();
    sent.push(client.send('x'.repeat(200_000), fd).catch((error) => {
      refused = error.code;
      fd.close();
    }));
    await new Promise(setImmediate);
  }
  assert.strictEqual(refused, 'ERR_RSIPC_OUTBOX_FULL');
  accepted.resume();
  await Promise.all(sent);
});
