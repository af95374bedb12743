'use strict';
// `fifo:/path`: lines through a named pipe.

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { serve, connect } = require('../../index.js');
const { directory } = require('./places.js');

const place = (t) => {
  const file = path.join(directory(t), 'pipe');
  return { file, endpoint: `fifo:${file}` };
};

async function reader(t, endpoint, options) {
  const server = await serve(endpoint, options);
  t.after(() => server.close());
  const [connection] = await once(server, 'connection');
  return { server, connection };
}

test('the server makes the pipe for this user alone, and waits for no writer', async (t) => {
  const { file, endpoint } = place(t);
  const { server, connection } = await reader(t, endpoint);
  const stat = fs.statSync(file);
  assert.ok(stat.isFIFO());
  assert.equal(stat.mode & 0o777, 0o600);
  assert.equal(server.address(), endpoint);
  const client = await connect(endpoint);
  client.send({ a: 'é' });
  assert.deepEqual(await once(connection, 'message'), [{ a: 'é' }]);
  await client.close();
});

test('lines of several writers, short and long ones mixed, do not run into each other', async (t) => {
  const { endpoint } = place(t);
  const { connection } = await reader(t, endpoint);
  const writers = await Promise.all([connect(endpoint), connect(endpoint), connect(endpoint)]);
  const next = [0, 0, 0];
  const all = new Promise((resolve, reject) => {
    let count = 0;
    connection.on('message', ({ who, number }) => {
      if (number !== next[who]++) reject(new Error(`writer ${who}: ${number}`));
      if (++count === 3 * 400) resolve();
    });
    connection.on('close', reject);
  });
  for (let number = 0; number < 400; number++) {
    for (const [who, writer] of writers.entries()) await writer.send({ who, number, text: 'x'.repeat((number * 37) % 4_000) });
  }
  await Promise.all(writers.map((writer) => writer.close({ timeout: 60_000 })));
  await all;
});

test('a line longer than the pipe arrives, and a shell may write', async (t) => {
  const { file, endpoint } = place(t);
  const { connection } = await reader(t, endpoint);
  const client = await connect(endpoint);
  client.send('x'.repeat(300_000));
  assert.equal((await once(connection, 'message'))[0].length, 300_000);
  await client.close();
  execFileSync('sh', ['-c', 'echo \'{"from":"sh"}\' > "$0"', file]);
  assert.deepEqual(await once(connection, 'message'), [{ from: 'sh' }]);
});

test('a line that is none ends the connection, and the next lines have another', async (t) => {
  const { file, endpoint } = place(t);
  const { server, connection } = await reader(t, endpoint);
  const problem = once(server, 'clientError');
  const again = once(server, 'connection');
  fs.writeFileSync(file, 'no json\n');
  assert.equal((await problem)[0].code, 'ERR_RSIPC_MALFORMED_FRAME');
  assert.equal(connection.closed, true);
  const [second] = await again;
  fs.writeFileSync(file, '1\n');
  assert.deepEqual(await once(second, 'message'), [1]);
  assert.equal(server.connections.size, 1);
});

test('a writer whose pipe nobody reads waits, within its limits, and can leave', async (t) => {
  const { file, endpoint } = place(t);
  execFileSync('mkfifo', ['-m', '600', file]);
  const client = await connect(endpoint, { highWaterMark: 10_000, slowPeer: 'error' });
  let refused = null;
  for (let count = 0; count < 1_000 && refused === null; count++) {
    client.send('x'.repeat(1_000)).catch((error) => { refused = error; });
    await new Promise(setImmediate);
  }
  assert.equal(refused?.code, 'ERR_RSIPC_OUTBOX_FULL');
  assert.ok(client.queued < 20_000);
  await assert.rejects(client.close({ timeout: 50 }), { code: 'ERR_RSIPC_UNSENT' });
  assert.equal(client.closed, true);
});

test('what is no pipe of this user is not used, and nothing of it is changed', async (t) => {
  const { file, endpoint } = place(t);
  await assert.rejects(connect(endpoint), { code: 'ENOENT' });
  fs.writeFileSync(file, 'text');
  for (const open of [serve, connect]) await assert.rejects(open(endpoint), { code: 'ERR_RSIPC_UNTRUSTED' });
  assert.equal(fs.readFileSync(file, 'utf8'), 'text');
  fs.unlinkSync(file);
  fs.mkdirSync(file);
  await assert.rejects(serve(endpoint), { code: 'ERR_RSIPC_UNTRUSTED' });
  fs.rmdirSync(file);
  execFileSync('mkfifo', ['-m', '600', `${file}2`]);
  fs.symlinkSync(`${file}2`, file);
  await assert.rejects(connect(endpoint), { code: 'ERR_RSIPC_UNTRUSTED' });
  fs.chmodSync(`${file}2`, 0o666);
  await assert.rejects(connect(`${endpoint}2`), { code: 'ERR_RSIPC_UNTRUSTED' });
  (await connect(`${endpoint}2`, { allow: 'anyone' })).destroy();
});

