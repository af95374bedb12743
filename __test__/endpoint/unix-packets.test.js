'use strict';
// `unix+dgram:` and `unix+seqpacket:`: messages as packets of UNIX sockets, whatever program is at the other end.

const assert = require('node:assert/strict');
const { execFileSync, spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { directory } = require('./places.js');
const { serve, connect } = require('../../index.js');

leavesNothing();

const SCHEMES = ['unix+seqpacket:', 'unix+dgram:'];
let counter = 0;
const inDirectory = (t, scheme) => `${scheme}${path.join(directory(t), 's')}`;
const abstract = (t, scheme) => `${scheme}@rsipc.test.${process.pid}.${++counter}`;

// Nobody can be asked who receives datagrams at an abstract name, so that is said.
const trusting = (endpoint) => (endpoint.startsWith('unix+dgram:@') ? { allow: 'anyone' } : {});

async function server(t, endpoint, options) {
  const made = await serve(endpoint, options);
  t.after(() => made.close());
  return made;
}

async function client(t, endpoint, options) {
  const made = await connect(endpoint, { ...trusting(endpoint), ...options });
  t.after(() => made.destroy());
  return made;
}

// Python has these sockets, so it is the stranger. Its script gets the path of the socket.
function stranger(t, endpoint, script) {
  const where = endpoint.slice(endpoint.indexOf(':') + 1);
  const child = spawn('python3', ['-c', `import socket, sys, os, time\nat = sys.argv[1]\nat = '\\0' + at[1:] if at[0] == '@' else at\n${script}`, where], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  return child;
}

for (const scheme of SCHEMES) {
  test(`${scheme} an empty message arrives as one`, async (t) => {
    const endpoint = inDirectory(t, scheme);
    const made = await server(t, endpoint, { codec: 'raw' });
    const end = await client(t, endpoint, { codec: 'raw' });
    const connection = once(made, 'connection');
    end.send(Buffer.alloc(0));
    end.send(Buffer.from('next'));
    const [accepted] = await connection;
    const got = [];
    for await (const message of accepted) if (got.push(String(message)) === 2) break;
    assert.deepEqual(got, ['', 'next']);
  });

  test(`${scheme} the kernel says who the other end is, and the file is this user's alone`, async (t) => {
    const endpoint = inDirectory(t, scheme);
    const made = await server(t, endpoint);
    assert.equal(fs.statSync(endpoint.slice(scheme.length)).mode & 0o777, 0o600);
    const end = await client(t, endpoint);
    const connection = once(made, 'connection');
    end.send('hello');
    const [{ peer }] = await connection;
    assert.deepEqual([peer.pid, peer.uid, peer.gid], [process.pid, process.getuid(), process.getgid()]);
    if (scheme === 'unix+seqpacket:') assert.equal(end.peer.uid, process.getuid());
  });

  test(`${scheme} a listener that throws costs no other message`, async (t) => {
    const endpoint = inDirectory(t, scheme);
    const made = await server(t, endpoint);
    const thrown = [];
    const got = [];
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => thrown.push(error.message));
    t.after(() => {
      process.removeAllListeners('uncaughtException');
      for (const other of others) process.on('uncaughtException', other);
    });
    made.on('connection', (connection) => connection.on('message', (message) => {
      got.push(message);
      if (message % 3 === 0) throw new Error(`at ${message}`);
    }));
    const end = await client(t, endpoint);
    for (let i = 1; i <= 9; i++) end.send(i);
    await until(() => got.length === 9 && thrown.length === 3);
    assert.deepEqual(got, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert.deepEqual(thrown, ['at 3', 'at 6', 'at 9']);
  });

  test(`${scheme} descriptors that come along are closed`, async (t) => {
    const endpoint = inDirectory(t, scheme);
    const made = await server(t, endpoint);
    const before = fs.readdirSync('/proc/self/fd').length;
    const type = scheme === 'unix+dgram:' ? 'SOCK_DGRAM' : 'SOCK_SEQPACKET';
    const connection = once(made, 'connection');
    const child = stranger(t, endpoint, `s = socket.socket(socket.AF_UNIX, socket.${type}); s.connect(at)
for _ in range(20): socket.send_fds(s, [b'1'], [0, 1, 2])
sys.stdin.read()`);
    const [accepted] = await connection;
    let count = 0;
    for await (const message of accepted) if (++count === 20) break; else assert.equal(message, 1);
    const closed = scheme === 'unix+dgram:' ? null : happened(accepted, 'close');
    child.stdin.end();
    await once(child, 'exit');
    await closed;
    await until(() => fs.readdirSync('/proc/self/fd').length <= before, 'descriptors to be closed');
  });

  test(`${scheme} a second server is refused, and one that was killed leaves nothing in the way`, async (t) => {
    const endpoint = inDirectory(t, scheme);
    const made = await serve(endpoint);
    await assert.rejects(serve(endpoint), { code: 'EADDRINUSE' });
    await made.close();
    assert.equal(fs.existsSync(endpoint.slice(scheme.length)), false);
    const script = `require(${JSON.stringify(require.resolve('../../index.js'))}).serve(${JSON.stringify(endpoint)}).then(() => process.kill(process.pid, 'SIGKILL'))`;
    assert.equal(spawnSync(process.execPath, ['-e', script]).signal, 'SIGKILL');
    assert.equal(fs.existsSync(endpoint.slice(scheme.length)), true);
    await (await serve(endpoint)).close();
  });

  test(`${scheme} what it cannot do is refused where it stands`, async (t) => {
    const endpoint = inDirectory(t, scheme);
    await assert.rejects(serve(endpoint, { codec: 'lsp' }), { code: 'ERR_INVALID_ARG_VALUE' });
    await assert.rejects(serve(`${scheme}relative/`), { code: 'ERR_RSIPC_INVALID_ENDPOINT' });
    await assert.rejects(connect(endpoint), { code: 'ENOENT' });
    const made = await server(t, endpoint);
    const end = await client(t, endpoint);
    assert.equal(made.address(), endpoint);
    await assert.rejects(end.request('add', 1), { code: 'ERR_RSIPC_NO_REQUESTS' });
    await assert.rejects(connect(endpoint, { allow: { uid: process.getuid() + 1 } }), { code: 'ERR_RSIPC_PEER_REFUSED' });
  });
}

for (const [what, options, send, code] of [
  ['a record above maxMessageSize', { maxMessageSize: 100 }, '"x" * 200', 'ERR_RSIPC_MESSAGE_TOO_LARGE'],
  ['a record that is no message', {}, '"{no"', 'ERR_RSIPC_MALFORMED_FRAME'],
  ['nesting beyond the limit', { maxDepth: 10 }, '"[" * 20 + "]" * 20', 'ERR_RSIPC_TOO_DEEP'],
]) {
  test(`unix+seqpacket: ${what} ends that connection alone: ${code}`, async (t) => {
    const endpoint = inDirectory(t, 'unix+seqpacket:');
    const made = await server(t, endpoint, options);
    const got = [];
    made.on('connection', (connection) => connection.on('message', (message) => got.push(message)));
    const other = await client(t, endpoint);
    const told = once(made, 'clientError');
    stranger(t, endpoint, `s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect(at); s.send(b'"good"'); s.send((${send}).encode()); sys.stdin.read()`);
    const [error, connection] = await told;
    assert.equal(error.code, code);
    assert.equal(connection.closed, true);
    other.send('still here');
    await until(() => got.length === 2);
    assert.deepEqual(got, ['good', 'still here']);
  });

  test(`unix+dgram: ${what} is counted, and harms nobody`, async (t) => {
    const endpoint = inDirectory(t, 'unix+dgram:');
    const made = await server(t, endpoint, options);
    const connection = once(made, 'connection');
    stranger(t, endpoint, `s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(at); s.send((${send}).encode()); s.send(b'"good"'); sys.stdin.read()`);
    const [accepted] = await connection;
    assert.deepEqual(await once(accepted, 'message'), ['good']);
    assert.deepEqual([made.datagrams.truncated, accepted.datagrams.foreign], code === 'ERR_RSIPC_MESSAGE_TOO_LARGE' ? [1, 0] : [0, 1]);
  });
}

test('unix+seqpacket: requests go as JSON-RPC, a record each', async (t) => {
  const endpoint = inDirectory(t, 'unix+seqpacket:');
  const made = await server(t, endpoint, { codec: 'lines', jsonRpc: true });
  made.handle('add', ({ a, b }) => a + b);
  const end = await client(t, endpoint, { codec: 'lines', jsonRpc: true });
  assert.deepEqual(await Promise.all([end.request('add', { a: 1, b: 2 }), end.request('add', { a: 3, b: 4 })]), [3, 7]);
  const child = stranger(t, endpoint, `s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect(at)
s.send(b'{"jsonrpc":"2.0","id":1,"method":"add","params":{"a":20,"b":3}}'); print(s.recv(1000).decode())`);
  assert.deepEqual(JSON.parse((await once(child.stdout, 'data'))[0]), { jsonrpc: '2.0', id: 1, result: 23 });
});

test('unix+dgram: a sender with a name is answered there, one without is not', async (t) => {
  const endpoint = inDirectory(t, 'unix+dgram:');
  const made = await server(t, endpoint);
  const sends = [];
  made.on('connection', (connection) => {
    connection.on('message', (message) => sends.push([connection.peer.address, connection.send(`to ${message}`).then(() => 'sent', (error) => error.code)]));
  });
  const child = stranger(t, endpoint, `
a = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); a.bind(at + '.a'); a.sendto(b'"a"', at); text, who = a.recvfrom(100); print(text.decode(), who == at, flush=True)
b = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); b.bind('\\0' + at); b.sendto(b'"b"', at); print(b.recv(100).decode(), flush=True)
c = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); c.sendto(b'"c"', at); sys.stdin.read()`);
  let printed = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    printed += text;
  });
  await until(() => sends.length === 3 && printed.split('\n').length === 3);
  assert.equal(printed, '"to a" True\n"to b"\n');
  const file = endpoint.slice('unix+dgram:'.length);
  assert.deepEqual(await Promise.all(sends.map(async ([address, sent]) => [address, await sent])), [[`${file}.a`, 'sent'], [`@${file}`, 'sent'], [undefined, 'ERR_RSIPC_ONE_WAY']]);
});

test('unix+dgram: a sender that takes no answers makes nobody else wait to be heard', async (t) => {
  const endpoint = inDirectory(t, 'unix+dgram:');
  const made = await server(t, endpoint, { highWaterMark: 10_000 });
  const heard = [];
  made.on('connection', (connection) => connection.on('message', (message) => {
    if (message === 'deaf') for (let i = 0; i < 100; i++) connection.send('x'.repeat(1_000));
    else heard.push(message);
  }));
  const deaf = stranger(t, endpoint, `
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(at + '.deaf'); s.connect(at)
for i in range(200): s.send(b'"deaf"')
print('all', flush=True); sys.stdin.read()`);
  await once(deaf.stdout, 'data');
  const end = await client(t, endpoint);
  for (let i = 0; i < 100; i++) await end.send(i);
  await until(() => heard.length === 100);
  const one = [...made.connections].find((connection) => connection.peer.pid === deaf.pid);
  await until(() => one.datagrams.refused > 0);
  assert.ok(one.queued < 300_000, `${one.queued} bytes wait`);
  const closed = happened(one, 'close'); // there is nobody to send to any more
  deaf.kill('SIGKILL');
  await closed;
});

test('unix+dgram: of another user\'s datagrams and sockets nothing is taken', { skip: process.getuid() !== 0 && 'needs to be root to be somebody else' }, async (t) => {
  const endpoint = inDirectory(t, 'unix+dgram:');
  const file = endpoint.slice('unix+dgram:'.length);
  const made = await server(t, endpoint, { mode: 0o666 });
  fs.chmodSync(path.dirname(file), 0o755);
  execFileSync('python3', ['-c', `import socket, os, sys
os.setuid(65534); s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(sys.argv[1]); s.send(b'"mine"')`, file]);
  await until(() => made.datagrams.refused === 1);
  assert.equal(made.connections.size, 0);
  await made.close();
  // A socket of somebody else: nothing is sent there.
  fs.chmodSync(path.dirname(file), 0o777);
  const child = stranger(t, endpoint, `os.setuid(65534); s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(at); print('bound', flush=True); print(s.recv(100), flush=True)`);
  await once(child.stdout, 'data');
  await assert.rejects(connect(endpoint), { code: 'ERR_RSIPC_PEER_REFUSED' });
  const end = await client(t, endpoint, { allow: { uid: 65_534 } });
  end.send('for you');
  let heard = '';
  for await (const text of child.stdout) heard += text;
  assert.match(heard, /for you/);
});

test('unix+dgram: who receives at an abstract name is anybody, so that has to be said', async (t) => {
  const endpoint = abstract(t, 'unix+dgram:');
  await server(t, endpoint);
  await assert.rejects(connect(endpoint), { code: 'ERR_RSIPC_UNTRUSTED' });
});

test('unix+dgram: senders beyond maxConnections are counted, and a silent one makes room', async (t) => {
  const endpoint = inDirectory(t, 'unix+dgram:');
  const made = await server(t, endpoint, { maxConnections: 2, idleTimeout: 150 });
  const ends = [];
  for (let i = 0; i < 3; i++) ends.push(await client(t, endpoint));
  for (const end of ends) end.send(1);
  await until(() => made.datagrams.refused === 1);
  assert.equal(made.connections.size, 2);
  await until(() => made.connections.size === 0);
  const connection = once(made, 'connection');
  ends[2].send(2);
  await connection;
});

for (const scheme of SCHEMES) {
  test(`${scheme} a path longer than an address has room for is served and connected to`, async (t) => {
    const folder = path.join(directory(t), 'ä'.repeat(100), 'x'.repeat(100));
    fs.mkdirSync(folder, { recursive: true });
    const made = await server(t, `${scheme}${path.join(folder, 's')}`);
    const connection = once(made, 'connection');
    const end = await client(t, made.address());
    end.send('far');
    const [accepted] = await connection;
    assert.deepEqual(await once(accepted, 'message'), ['far']);
    accepted.send('back');
    assert.deepEqual(await once(end, 'message'), ['back']);
  });
}
