'use strict';
// All connections of a client go to one worker.

const assert = require('node:assert');
const http = require('node:http');
const net = require('node:net');
const { test, afterEach } = require('node:test');
const { cluster, workers: start, end, get, told } = require('../helpers/cluster.js');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { kOf } = require('../../lib/cluster/worker.js');

leavesNothing();
afterEach(end);

const adopted = (worker) => worker[kOf].native.counts(worker.id).adopted;
// Nobody is late here, however busy the machine is.
const COOKIE = { by: 'cookie', name: 'sid', timeout: 60_000 };
// Nor does a client move because its worker has had no turn.
const workers = (name, count, settings) => start(name, count, { stallTimeout: 60_000, ...settings });
const CLIENTS = Array.from({ length: 24 }, (_, number) => `client-${number}`);

// Who answers a request of its own connection.
function ask(port, { path = '/', headers = {}, localAddress = '127.0.0.1' } = {}) {
  return new Promise((resolve, reject) => {
    http.get({ port, host: '127.0.0.1', localAddress, path, headers, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text) => { body += text; }).on('end', () => resolve(body)).on('error', reject);
    }).on('error', reject);
  });
}

const byCookie = (port, client) => ask(port, { headers: { cookie: `a=b; sid=${client}` } });

// Of each client who answers it; twice asked, the same one does.
async function homes(port, request) {
  const found = new Map();
  for (let round = 0; round < 2; round++) {
    await Promise.all(CLIENTS.map(async (client) => {
      const worker = await request(port, client);
      assert.strictEqual(worker, found.get(client) ?? worker, client);
      found.set(client, worker);
    }));
  }
  return found;
}

for (const [sticky, request] of [
  [COOKIE, byCookie],
  [{ by: 'header', name: 'X-Client', timeout: 60_000 }, (port, client) => ask(port, { headers: { 'x-client': client } })],
  [{ by: 'query', name: 'room', timeout: 60_000 }, (port, client) => ask(port, { path: `/?a=b&room=${client}` })],
  // Every address of 127/8 is this machine, on Linux.
  ...process.platform === 'linux' ? [[{ by: 'ip' }, (port, client) => ask(port, { localAddress: `127.0.1.${client.slice(7)}` })]] : [],
]) {
  test(`by ${sticky.by}: a client has one worker, and each worker has clients`, async () => {
    const { port } = await workers('say-id', 2, { sticky });
    const found = await homes(port, request);
    assert.strictEqual(new Set(found.values()).size, 2);
  });
}

// Sends this, and answers what comes back; `pieces` go one after the other.
async function raw(port, pieces) {
  const socket = net.connect(port, '127.0.0.1').setNoDelay(true).setEncoding('utf8');
  let text = '';
  socket.on('data', (more) => { text += more; });
  const ended = happened(socket, 'end');
  await happened(socket, 'connect');
  for (const piece of pieces) {
    socket.write(piece);
    await new Promise(setImmediate);
  }
  await ended;
  socket.destroy();
  return text;
}

test('by the PROXY protocol: the address that it names is the client, and the worker gets its bytes', async () => {
  const { port } = await workers('repeats', 2, { sticky: { by: 'proxy', timeout: 60_000 } });
  const used = new Set();
  for (let number = 1; used.size < 2; number++) {
    const found = new Set();
    for (const from of [1000, 2000, 3000]) {
      const head = `PROXY TCP4 192.0.2.${number} 192.0.2.250 ${from} 80\r\n`;
      const [, worker, bytes] = /^(\d+) (.*)$/s.exec(await raw(port, [head]));
      assert.strictEqual(bytes, head);
      found.add(worker);
    }
    assert.strictEqual(found.size, 1);
    used.add(...found);
  }
});

test('bytes that come in pieces are waited for, and stay where they are', async () => {
  const { port } = await workers('repeats', 2, { sticky: COOKIE });
  const pieces = ['GE', 'T / HTTP/1.1\r\nCook', 'ie: sid=in-pieces\r\n', '\r\n', 'rest'];
  const whole = await raw(port, [pieces.slice(0, 4).join('')]);
  for (let round = 0; round < 4; round++) assert.ok((await raw(port, pieces)).startsWith(whole));
});

test('who says nothing, or something else, is handed out as if nobody stuck to anything', async () => {
  const { workers: [first, second], port } = await workers('takes-sockets', 2, { sticky: { ...COOKIE, timeout: 1 } });
  // Nothing at all.
  for (let i = 0; i < 4; i++) assert.strictEqual(await told(port), 'accepted');
  await until(() => adopted(first) + adopted(second) === 4, 'all to be adopted');
  assert.deepStrictEqual([adopted(first), adopted(second)], [2, 2]);
});

test('who has said nothing is let go when nobody listens any more', async () => {
  const { workers: both, port } = await workers('say-id', 2, { sticky: COOKIE });
  const silent = net.connect(port, '127.0.0.1').on('error', () => {}).resume(); // where nobody has accepted it yet
  await happened(silent, 'connect');
  for (const worker of both) worker.disconnect();
  await happened(silent, 'close');
});

test('a request without the cookie, and bytes that are no request, go to the next worker at once', async () => {
  const { workers: both, port } = await workers('say-id', 2, { sticky: COOKIE });
  const ids = both.map(({ id }) => `${id}`).sort();
  for (const headers of [{}, { cookie: 'other=1' }, { cookie: 'sid=' }]) {
    assert.deepStrictEqual([await ask(port, { headers }), await ask(port, { headers })].sort(), ids);
  }
  // Would take a minute if it were waited for more.
  assert.match(await raw(port, ['\x16\x03\x01 no request']), /^HTTP\/1.1 400/);
});

test('more connections that say nothing than are waited for keep nobody from a worker', async () => {
  const { workers: [first, second], port } = await workers('say-id', 2, { sticky: COOKIE });
  const silent = Array.from({ length: 300 }, () => net.connect(port, '127.0.0.1').on('error', () => {}));
  try {
    await Promise.all(silent.map((socket) => happened(socket, 'connect')));
    // 256 are waited for; who has waited longest makes room.
    await until(() => adopted(first) + adopted(second) === 300 - 256, 'room to be made');
    const worker = await byCookie(port, 'honest');
    for (let i = 0; i < 3; i++) assert.strictEqual(await byCookie(port, 'honest'), worker);
  } finally {
    for (const socket of silent) socket.destroy();
  }
  assert.ok(await get(port));
});

test('a worker that goes moves its own clients alone, and the one in its place gets them back', async () => {
  const { workers: all, port } = await workers('say-id', 3, { env: { LISTEN_PORT: '0' }, sticky: COOKIE });
  const before = await homes(port, byCookie);
  const gone = all[1];
  gone.process.kill('SIGKILL');
  await happened(gone, 'exit');
  const between = await homes(port, byCookie);
  for (const [client, worker] of before) {
    if (worker === `${gone.id}`) assert.notStrictEqual(between.get(client), worker);
    else assert.strictEqual(between.get(client), worker);
  }
  const next = cluster.fork();
  await happened(next, 'listening');
  const after = await homes(port, byCookie);
  for (const [client, worker] of before) assert.strictEqual(after.get(client), worker === `${gone.id}` ? `${next.id}` : worker);
});

test('a reload moves each client once, to the worker that replaces its own', async () => {
  const { workers: old, port } = await workers('say-id', 2, { sticky: COOKIE });
  const before = await homes(port, byCookie);
  const reloaded = await cluster.reload();
  const after = await homes(port, byCookie);
  const replacement = new Map(old.map(({ id }, index) => [`${id}`, `${reloaded[index].id}`]));
  for (const [client, worker] of before) assert.strictEqual(after.get(client), replacement.get(worker));
});

test('a paused worker has no clients, and gets them back', async () => {
  const { workers: [first], port } = await workers('say-id', 2, { sticky: COOKIE });
  const before = await homes(port, byCookie);
  first.pause();
  assert.strictEqual(new Set((await homes(port, byCookie)).values()).size, 1);
  first.resume();
  assert.deepStrictEqual(await homes(port, byCookie), before);
});

test('clients of a worker that does not answer are served by others', async () => {
  const { workers: [first], port } = await workers('say-id', 2, { sticky: COOKIE });
  const [client] = [...await homes(port, byCookie)].find(([, worker]) => worker === `${first.id}`);
  cluster.setupPrimary({ stallTimeout: 250 });
  first.process.kill('SIGSTOP');
  assert.notStrictEqual(await byCookie(port, client), `${first.id}`);
  first.process.kill('SIGCONT');
});

test('it can be switched off, and on again', async () => {
  const { port } = await workers('say-id', 2, { sticky: COOKIE });
  const home = await byCookie(port, 'one');
  assert.strictEqual(await byCookie(port, 'one'), home);
  cluster.setupPrimary({ sticky: undefined });
  assert.strictEqual(new Set([await byCookie(port, 'one'), await byCookie(port, 'one')]).size, 2);
  cluster.setupPrimary({ sticky: COOKIE });
  const again = await byCookie(port, 'one');
  assert.strictEqual(await byCookie(port, 'one'), again);
});

test('wrong settings are told', () => {
  const wrong = [
    [null, 'ERR_INVALID_ARG_TYPE'],
    ['ip', 'ERR_INVALID_ARG_TYPE'],
    [{}, 'ERR_INVALID_ARG_VALUE'],
    [{ by: 'mood' }, 'ERR_INVALID_ARG_VALUE'],
    [{ by: 'toString' }, 'ERR_INVALID_ARG_VALUE'],
    [{ by: 'ip', name: 'x' }, 'ERR_INVALID_ARG_VALUE'],
    [{ by: 'cookie' }, 'ERR_INVALID_ARG_TYPE'],
    [{ by: 'cookie', name: '' }, 'ERR_INVALID_ARG_VALUE'],
    [{ by: 'cookie', name: 'a b' }, 'ERR_INVALID_ARG_VALUE'],
    [{ by: 'header', name: 'a:' }, 'ERR_INVALID_ARG_VALUE'],
    [{ by: 'query', name: 'x'.repeat(257) }, 'ERR_INVALID_ARG_VALUE'],
    [{ by: 'ip', timeout: 0 }, 'ERR_OUT_OF_RANGE'],
  ];
  for (const [sticky, code] of wrong) assert.throws(() => cluster.setupPrimary({ sticky }), { code }, JSON.stringify(sticky));
});
