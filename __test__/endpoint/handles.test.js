'use strict';
// Handles between processes that are not parent and child.

const { test } = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { pair, PLACES } = require('./places.js');
const { connect, Ring, Cell, SharedMemory, Fd } = require('../../index.js');

// The directory of names stays open for the life of a process that has had shared memory.
Cell.create({ capacity: 64 }).close();

leavesNothing();

function anFd() {
  const number = fs.openSync('/dev/null');
  const fd = new Fd(number); // has a duplicate
  fs.closeSync(number);
  return fd;
}

const descriptors = () => fs.readdirSync('/proc/self/fd').length;

for (const codec of ['json', 'v8', 'raw']) {
  const word = codec === 'raw' ? Buffer.from('take it') : 'take it';

  test(`a socket goes to another process, which answers on it (${codec})`, async (t) => {
    const endpoint = PLACES['unix:'](t);
    const child = spawn(process.execPath, [path.join(__dirname, '../fixtures/endpoint/taker.js'), endpoint, codec], { stdio: ['ignore', 'pipe', 'inherit'] });
    t.after(() => child.kill('SIGKILL'));
    await happened(child.stdout, 'data');
    const client = await connect(endpoint, { codec });
    t.after(() => client.destroy());
    const server = net.createServer({ pauseOnConnect: true }, (socket) => client.send(word, socket));
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const far = net.connect(server.address().port, '127.0.0.1');
    far.end('question');
    let answer = '';
    far.setEncoding('utf8').on('data', (piece) => { answer += piece; });
    await happened(far, 'end');
    assert.strictEqual(answer, `${child.pid}: question`);
  });

  test(`several in one message arrive in their order, behind what was sent before (${codec})`, async (t) => {
    const { client, accepted } = await pair(t, { codec });
    const cell = Cell.create({ capacity: 64 });
    const memory = SharedMemory.create({ size: 4_096 });
    const ring = Ring.create({ capacity: 8_192, flavor: 'spsc' });
    t.after(() => { for (const one of [cell, memory, ring]) one.close(); });
    memory.buffer.write('shared');
    const got = [];
    accepted.on('message', (message, handles) => got.push([String(message), handles]));
    client.send(codec === 'raw' ? Buffer.from('before') : 'before');
    const taken = client.send(word, [cell, memory, ring, anFd()]);
    client.send(codec === 'raw' ? Buffer.from('behind') : 'behind');
    await taken;
    await until(() => got.length === 3, 'all have come');
    assert.deepStrictEqual(got.map(([message]) => message), ['before', 'take it', 'behind']);
    const handles = got[1][1];
    assert.deepStrictEqual(handles.map((one) => one.constructor.name), ['Cell', 'SharedMemory', 'Ring', 'Fd']);
    assert.strictEqual(handles[1].buffer.toString('utf8', 0, 6), 'shared');
    for (const one of handles) one.close();
  });
}

test('a kind that is not accepted is closed, and the sender is told', async (t) => {
  const { client, accepted } = await pair(t, { server: { acceptHandles: ['net.Socket'] } });
  accepted.on('message', () => assert.fail('nothing is delivered'));
  const before = descriptors();
  for (let i = 0; i < 50; i++) {
    await assert.rejects(client.send('x', anFd()), { code: 'ERR_RSIPC_HANDLE_REJECTED', message: /refused/ });
  }
  assert.ok(descriptors() <= before);
});

test('a handle that nobody listens for is closed when the connection ends, and the sender is told', async (t) => {
  const { client, accepted } = await pair(t);
  const before = descriptors();
  const sent = Array.from({ length: 5 }, () => client.send('x', anFd()));
  await client.request('none').catch(() => {});
  accepted.destroy();
  for (const one of sent) await assert.rejects(one, (error) => error.code === 'ERR_RSIPC_PEER_GONE' || error.code === 'ERR_RSIPC_HANDLE_REJECTED');
  await until(() => descriptors() <= before, 'all are closed');
});

test('handles travel over UNIX sockets alone, and a thing that is none is refused', async (t) => {
  const tcp = await pair(t, { place: 'tcp:' });
  const fd = anFd();
  assert.throws(() => tcp.client.send('x', fd), { code: 'ERR_RSIPC_NO_HANDLES' });
  const unix = await pair(t);
  assert.throws(() => unix.client.send('x', {}), { code: 'ERR_INVALID_HANDLE_TYPE' });
  assert.throws(() => unix.client.send('x', []), { code: 'ERR_OUT_OF_RANGE' });
  fd.close();
  assert.throws(() => unix.client.send('x', fd), { code: 'ERR_RSIPC_FD_CLOSED' });
});
