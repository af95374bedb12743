'use strict';
// `serve('tcp://…', { proxy: { from } })`: whose a connection is, by the word of a load balancer that is believed.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const { test } = require('node:test');
const { leavesNothing } = require('../helpers/leavings.js');
const hasPeeked = require('../helpers/peeking.js');
const { happened, until } = require('../helpers/wait.js');
const { serve, connect } = require('../../index.js');

leavesNothing(hasPeeked);

const V1 = 'PROXY TCP4 203.0.113.7 10.0.0.1 5555 80\r\n';
const v2 = (command, rest) => Buffer.concat([Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1'), Buffer.from([0x20 | command, 0x21, rest.length >> 8, rest.length & 0xff]), rest]);
const V2 = v2(1, Buffer.concat([net6('2001:db8::7'), net6('2001:db8::1'), Buffer.from([0x15, 0xb3, 0, 80]), Buffer.from([4, 0, 1, 9])])); // and an extension

function net6(text) {
  const [head, tail] = text.split('::').map((part) => part.split(':').filter(Boolean));
  const groups = [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => '0'), ...tail];
  return Buffer.from(groups.map((group) => group.padStart(4, '0')).join(''), 'hex');
}

async function behind(t, from, options = {}) {
  const server = await serve('tcp://127.0.0.1:0', { codec: 'lines', proxy: { from }, ...options });
  t.after(() => server.close({ timeout: 200 }));
  const problems = [];
  server.on('clientError', (error) => problems.push(error.code));
  const dial = (...pieces) => {
    const socket = net.connect(Number(server.address().split(':').at(-1)), '127.0.0.1');
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    socket.resume();
    for (const piece of pieces) socket.write(piece);
    return socket;
  };
  return { server, dial, problems };
}

for (const [what, line, source] of [
  ['version 1', V1, { address: '203.0.113.7', family: 'IPv4', port: 5555 }],
  ['version 2', V2, { address: '2001:db8::7', family: 'IPv6', port: 5555 }],
]) {
  test(`${what} of a listed peer gives the real address, and none of the line is a message`, async (t) => {
    const { server, dial } = await behind(t, ['127.0.0.0/8']);
    const connection = happened(server, 'connection');
    const socket = dial(Buffer.concat([Buffer.from(line), Buffer.from('"first"\n"second"\n')]));
    const [{ peer }] = await connection;
    const { via, ...told } = peer;
    assert.deepEqual(told, source);
    assert.deepEqual([via.address, via.port], ['127.0.0.1', socket.localPort]);
    const [client] = server.connections;
    const got = [];
    for await (const message of client) if (got.push(message) === 2) break;
    assert.deepEqual(got, ['first', 'second']);
  });
}

test('a line that comes a byte at a time is waited for, and others meanwhile are not', async (t) => {
  const { server, dial } = await behind(t, ['127.0.0.1']);
  const slow = dial();
  slow.setNoDelay(true);
  for (const byte of V1.slice(0, -1)) {
    slow.write(byte);
    await new Promise(setImmediate);
  }
  const first = happened(server, 'connection');
  dial(V2, '1\n');
  assert.equal((await first)[0].peer.address, '2001:db8::7');
  const second = happened(server, 'connection');
  slow.write('\n1\n');
  assert.equal((await second)[0].peer.address, '203.0.113.7');
});

test('a peer that is not listed is not believed: its line is no message, and without one it is served', async (t) => {
  const { server, dial, problems } = await behind(t, ['10.0.0.0/8', '2001:db8::/32']);
  dial(V1, '1\n');
  await until(() => problems.length === 1, 'the forged line to be told');
  assert.deepEqual(problems, ['ERR_RSIPC_MALFORMED_FRAME']);
  const connection = happened(server, 'connection');
  const honest = dial('1\n');
  const [{ peer }] = await connection;
  assert.deepEqual([peer.address, peer.port, peer.via], ['127.0.0.1', honest.localPort, undefined]);
});

test('a listed peer has to say it, in time and in form', async (t) => {
  const { server, dial, problems } = await behind(t, ['127.0.0.1'], { helloTimeout: 100 });
  const before = fs.readdirSync('/proc/self/fd').length;
  for (const [pieces, code] of [
    [['{"no":"line"}\n'], 'ERR_RSIPC_UNEXPECTED_BYTES'],
    [['PROXY TCP4 nonsense\r\n'], 'ERR_RSIPC_UNEXPECTED_BYTES'],
    [['PROXY TCP4 203.0.113.7 '], 'ERR_RSIPC_TIMEOUT'],
    [[], 'ERR_RSIPC_TIMEOUT'],
  ]) {
    const socket = dial(...pieces);
    await happened(socket, 'close');
    assert.equal(problems.at(-1), code, pieces[0]);
  }
  const leaver = dial('PROXY');
  leaver.end();
  await until(() => problems.length === 5, 'who has left to be told');
  assert.equal(problems[4], 'ERR_RSIPC_TRUNCATED');
  assert.equal(server.connections.size, 0);
  await until(() => fs.readdirSync('/proc/self/fd').length <= before + 2, 'descriptors to be closed'); // what looks into them stays
});

test('a load balancer that looks whether anybody is here is itself the peer', async (t) => {
  const { server, dial } = await behind(t, ['127.0.0.1']);
  for (const line of [v2(0, Buffer.alloc(0)), 'PROXY UNKNOWN\r\n']) {
    const connection = happened(server, 'connection');
    dial(line, '1\n');
    const [{ peer }] = await connection;
    assert.deepEqual([peer.address, peer.via], ['127.0.0.1', undefined]);
  }
});

test('no more than maxConnections are waited for, and closing the server ends the wait', async (t) => {
  const { server, dial } = await behind(t, ['127.0.0.1'], { maxConnections: 2 });
  const sockets = [dial(), dial(), dial()];
  await Promise.race(sockets.map((socket) => happened(socket, 'close'))); // the third, or who was third to be accepted
  const ends = sockets.map((socket) => socket.closed || happened(socket, 'close'));
  await server.close();
  await Promise.all(ends);
});

test('rsipc talks through it, with hello and requests', async (t) => {
  const server = await serve('tcp://127.0.0.1:0', { proxy: { from: ['127.0.0.1'] } });
  t.after(() => server.close());
  server.handle('who', (_, { connection }) => connection.peer.address);
  // What a load balancer does.
  const balancer = net.createServer((socket) => {
    const back = net.connect(Number(server.address().split(':').at(-1)), '127.0.0.1');
    back.write(V1);
    socket.pipe(back).pipe(socket);
  });
  await new Promise((resolve) => balancer.listen(0, '127.0.0.1', resolve));
  t.after(() => balancer.close());
  const client = await connect(`tcp://127.0.0.1:${balancer.address().port}`);
  assert.equal(await client.request('who'), '203.0.113.7');
  await client.close();
});

test('without the option a server of tcp:// tells where its clients are', async (t) => {
  const server = await serve('tcp://127.0.0.1:0');
  t.after(() => server.close());
  const connection = happened(server, 'connection');
  const client = await connect(server.address());
  t.after(() => client.destroy());
  assert.equal((await connection)[0].peer.address, '127.0.0.1');
});

test('lists that make no sense are refused', async () => {
  for (const from of [undefined, '10.0.0.0/8', [], ['10.0.0.0/33'], ['10.0.0/8'], ['example.org'], [1], ['::/129'], ['10.0.0.0/8/8']]) {
    await assert.rejects(serve('tcp://127.0.0.1:0', { proxy: { from } }), (error) => error.code.startsWith('ERR_INVALID_ARG'), String(from));
  }
  await assert.rejects(serve('unix:/tmp/never', { proxy: { from: ['::1'] } }), { code: 'ERR_INVALID_ARG_VALUE' });
});
