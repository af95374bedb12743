'use strict';
// `file:/dir/`: messages as files.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { createHash } = require('node:crypto');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { serve, connect } = require('../../index.js');
const { directory } = require('./places.js');

const place = (t) => {
  const dir = path.join(directory(t), 'box');
  return { dir, endpoint: `file:${dir}/` };
};

// A server whose messages are gathered.
async function reader(t, endpoint, options) {
  const server = await serve(endpoint, options);
  t.after(() => server.close());
  const got = [];
  const problems = [];
  let wanted = Infinity;
  let enough;
  server.on('clientError', (error) => problems.push(error));
  server.on('connection', (connection) => connection.on('message', (message) => {
    got.push(message);
    if (got.length >= wanted) enough();
  }));
  const until = (count) => new Promise((resolve) => {
    [wanted, enough] = [count, resolve];
    if (got.length >= count) resolve();
  });
  return { server, got, problems, until };
}

const waiting = (dir) => fs.readdirSync(dir).filter((name) => name.endsWith('.msg'));

test('what was told leaves nothing behind', async (t) => {
  const { dir, endpoint } = place(t);
  const { got, until } = await reader(t, endpoint);
  const client = await connect(endpoint);
  for (let number = 0; number < 100; number++) client.send(number);
  await until(100);
  await client.close();
  assert.deepEqual(got, Array.from({ length: 100 }, (_, number) => number));
  assert.deepEqual(fs.readdirSync(dir), []);
});

test('several readers in several processes take each message exactly once', async (t) => {
  const { dir, endpoint } = place(t);
  fs.mkdirSync(dir, { mode: 0o700 });
  const script = `
    const { serve } = require(${JSON.stringify(path.resolve(__dirname, '../../index.js'))});
    serve(process.argv[1]).then((server) => server.on('connection', (c) => c.on('message', (m) => console.log(m))));
    process.stdin.on('end', () => process.exit()).resume();`;
  const got = [];
  const ends = [];
  let enough;
  const all = new Promise((resolve) => { enough = resolve; });
  for (let one = 0; one < 3; one++) {
    const child = spawn(process.execPath, ['-e', script, endpoint], { stdio: ['pipe', 'pipe', 'inherit'] });
    const exited = new Promise((resolve) => { child.once('exit', resolve); });
    ends.push(() => {
      child.stdin.end();
      return exited;
    });
    let rest = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop();
      got.push(...lines.map(Number));
      if (got.length >= 800) enough();
    });
  }
  const writers = await Promise.all([connect(endpoint), connect(endpoint)]);
  for (let number = 0; number < 400; number++) {
    await writers[0].send(number);
    await writers[1].send(400 + number);
  }
  await Promise.all(writers.map((writer) => writer.close({ timeout: 60_000 })));
  await all;
  // One may be so slow to start that the others have read it all: it ends before its directory does.
  await Promise.all(ends.map((end) => end()));
  assert.deepEqual(waiting(dir), []);
  assert.deepEqual(got.sort((a, b) => a - b), Array.from({ length: 800 }, (_, number) => number));
});

test('two senders have a connection each, and a silent one is let go', async (t) => {
  const { endpoint } = place(t);
  const server = await serve(endpoint, { idleTimeout: 200 });
  t.after(() => server.close());
  const seen = [];
  const closed = [];
  server.on('connection', (connection) => {
    seen.push(connection.peer.sender);
    closed.push(once(connection, 'close'));
    connection.on('message', () => {});
  });
  for (const text of ['a', 'b']) {
    const client = await connect(endpoint);
    client.send(text);
    await client.close();
  }
  while (seen.length < 2) await once(server, 'connection');
  assert.notEqual(seen[0], seen[1]);
  for (const [error] of await Promise.all(closed)) assert.equal(error, undefined);
  assert.equal(server.connections.size, 0);
});

test('the files of senders beyond maxConnections, and of one that is not read, wait', async (t) => {
  const { dir, endpoint } = place(t);
  const server = await serve(endpoint, { maxConnections: 1 });
  t.after(() => server.close());
  const writers = await Promise.all([connect(endpoint), connect(endpoint)]);
  writers[0].send('first');
  const [first] = await once(server, 'connection');
  assert.deepEqual(await once(first, 'message'), ['first']);
  first.pause();
  writers[0].send('paused');
  writers[1].send('second');
  await Promise.all(writers.map((writer) => writer.close()));
  assert.equal(waiting(dir).length, 2);
  first.resume();
  assert.deepEqual(await once(first, 'message'), ['paused']);
  const next = once(server, 'connection');
  first.destroy();
  assert.deepEqual(await once((await next)[0], 'message'), ['second']);
  assert.deepEqual(waiting(dir), []);
});

test('a file that is no message is set aside, told by its code, and stops no other', async (t) => {
  const { dir, endpoint } = place(t);
  fs.mkdirSync(dir, { mode: 0o700 });
  const sender = '00000000000000aa';
  let number = 0;
  const put = (bytes) => fs.writeFileSync(path.join(dir, `${sender}.${String(++number).padStart(12, '0')}.msg`), bytes, { mode: 0o600 });
  const file = (body, { codec = 1, length = body.length, sum = createHash('sha256').update(body).digest().subarray(0, 16) } = {}) => {
    const head = Buffer.alloc(12);
    head.write('rsf\x01', 'latin1');
    head[4] = codec;
    head.writeUInt32LE(length, 8);
    return Buffer.concat([head, sum, Buffer.from(body)]);
  };
  put('');
  put(file('{"cut":').subarray(0, 20));
  put(file('{}', { length: 99 }));
  put(file('{}', { sum: Buffer.alloc(16) }));
  put(file('{"not json'));
  put(file('{}', { codec: 3 }));
  put('something else, long enough to hold a head and more');
  put(file(JSON.stringify('x'.repeat(2_000))));
  put(file(`${'['.repeat(600)}${']'.repeat(600)}`));
  fs.symlinkSync('/etc/hostname', path.join(dir, `${sender}.${String(++number).padStart(12, '0')}.msg`));
  put(file('"good"'));
  fs.writeFileSync(path.join(dir, 'README'), 'not ours');
  const { got, problems, until } = await reader(t, endpoint, { maxMessageSize: 1_500 });
  await until(1);
  assert.deepEqual(got, ['good']);
  assert.deepEqual(problems.map(({ code }) => code), [
    'ERR_RSIPC_TRUNCATED', 'ERR_RSIPC_TRUNCATED', 'ERR_RSIPC_TRUNCATED', 'ERR_RSIPC_MALFORMED_FRAME', 'ERR_RSIPC_MALFORMED_FRAME',
    'ERR_RSIPC_CODEC', 'ERR_RSIPC_MALFORMED_FRAME', 'ERR_RSIPC_MESSAGE_TOO_LARGE', 'ERR_RSIPC_TOO_DEEP', 'ERR_RSIPC_UNTRUSTED',
  ]);
  assert.equal(fs.readdirSync(path.join(dir, 'bad')).length, 10);
  assert.deepEqual(waiting(dir), []);
  assert.ok(fs.existsSync(path.join(dir, 'README')));
});

test('what a killed writer has begun is set aside after frameTimeout', async (t) => {
  const { dir, endpoint } = place(t);
  fs.mkdirSync(dir, { mode: 0o700 });
  const name = '.00000000000000aa.000000000001.tmp';
  fs.writeFileSync(path.join(dir, name), 'half');
  fs.utimesSync(path.join(dir, name), 1, 1);
  const server = await serve(endpoint, { frameTimeout: 100 });
  t.after(() => server.close());
  const [error, connection] = await once(server, 'clientError');
  assert.equal(error.code, 'ERR_RSIPC_FRAME_TIMEOUT');
  assert.equal(connection, null);
  assert.deepEqual(fs.readdirSync(path.join(dir, 'bad')), [name]);
});

test('a full directory makes a writer wait, within its limits', async (t) => {
  const { dir, endpoint } = place(t);
  fs.mkdirSync(dir, { mode: 0o700 });
  const client = await connect(endpoint, { maxFiles: 10, highWaterMark: 1_000, slowPeer: 'error', codec: 'raw' });
  t.after(() => client.destroy());
  let refused = null;
  for (let count = 0; count < 2_000 && refused === null; count++) {
    client.send(Buffer.alloc(100)).catch((error) => { refused = error; });
    // The first stretch is written before there are too many.
    while (client.queued > 0 && waiting(dir).length < 64) await new Promise((resolve) => setTimeout(resolve, 2));
    await new Promise(setImmediate);
  }
  assert.equal(refused?.code, 'ERR_RSIPC_OUTBOX_FULL');
  assert.ok(waiting(dir).length <= 64 + 10, `${waiting(dir).length} files`);
  assert.ok(client.queued <= 1_200);
});

test('a directory that others can write to, or that is none, is not used', async (t) => {
  const { dir, endpoint } = place(t);
  await assert.rejects(connect(endpoint), { code: 'ENOENT' });
  fs.mkdirSync(dir);
  fs.chmodSync(dir, 0o777);
  await assert.rejects(serve(endpoint), { code: 'ERR_RSIPC_UNTRUSTED' });
  await assert.rejects(connect(endpoint), { code: 'ERR_RSIPC_UNTRUSTED' });
  await (await serve(endpoint, { allow: 'anyone' })).close();
  fs.rmdirSync(dir);
  fs.writeFileSync(dir, '');
  await assert.rejects(serve(endpoint.slice(0, -1)), { code: 'ERR_RSIPC_UNTRUSTED' });
});

test('a reader makes its directory for this user alone, and cannot send or be asked', async (t) => {
  const { dir, endpoint } = place(t);
  const server = await serve(endpoint);
  t.after(() => server.close());
  assert.equal(fs.statSync(dir).mode & 0o777, 0o700);
  const client = await connect(endpoint);
  client.send('x');
  assert.equal(fs.statSync(dir).isDirectory(), true);
  const [connection] = await once(server, 'connection');
  await assert.rejects(connection.send('no'), { code: 'ERR_RSIPC_ONE_WAY' });
  assert.throws(() => server.broadcast('no'), { code: 'ERR_RSIPC_ONE_WAY' });
  await assert.rejects(client.request('no'), { code: 'ERR_RSIPC_NO_REQUESTS' });
  await assert.rejects(connect(endpoint, { codec: 'lsp' }), { code: 'ERR_INVALID_ARG_VALUE' });
  await client.close();
});

test('a listener that throws costs no other message', async (t) => {
  const { endpoint } = place(t);
  const { got, until } = await reader(t, endpoint);
  const client = await connect(endpoint);
  const thrown = [];
  const before = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => thrown.push(error.message));
  t.after(() => {
    process.removeAllListeners('uncaughtException');
    for (const listener of before) process.on('uncaughtException', listener);
  });
  const push = got.push.bind(got);
  got.push = (message) => {
    push(message);
    if (message === 1) throw new Error('of a listener');
    return got.length;
  };
  for (let number = 0; number < 3; number++) client.send(number);
  await client.close();
  await until(3);
  await new Promise(setImmediate); // it is thrown behind them
  assert.deepEqual([...got], [0, 1, 2]);
  assert.deepEqual(thrown, ['of a listener']);
});
