'use strict';
// Descriptors of every kind under every type, from a peer that knows the protocol: each arrives where it fits, and is
// closed where it does not. And a connection that was looked at, for a process that is no child.

const { test } = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, text, until } = require('../helpers/wait.js');
const { PLACES, pair } = require('./places.js');
const { connect, httpOver, peek, Cell, Fd } = require('../../index.js');

// The directory of names stays open for the life of a process that has had shared memory.
Cell.create({ capacity: 64 }).close();

leavesNothing();

const TYPES = ['net.Socket', 'net.Server', 'net.Native', 'net.BoundSocket', 'dgram.Socket', 'dgram.Native', 'fd', 'net.Unknown', '__proto__', ''];
const FITTING = { 'net.Socket': ['pipe', 'unix-stream', 'tcp'], 'dgram.Socket': ['udp'] };
// Words about shared memory, and about ends of channels, that are none.
const ODD = [{ shared: 1 }, { shared: null }, { shared: { kind: 'ring' } }, { shared: { kind: '__proto__' } }, { shared: { kind: 'cell', name: '../x' } }, { shared: { kind: { toString: 1 } } }, { end: {} }, { end: { serialization: 'json', transport: 'auto' } }];

// Sends a message for each pair of a type and a kind, with one such descriptor, and prints what became of it.
const STRANGER = `
import json, socket, struct, sys
sys.path.insert(0, sys.argv[2])
from descriptors import KINDS, STATES, descriptor, possible
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM); s.connect(sys.argv[1])
s.sendall(b'rsipc/1 {"codec":"json"}\\n')
line = b''
while not line.endswith(b'\\n'): line += s.recv(1)
def exactly(length):
    got = b''
    while len(got) < length: got += s.recv(length - len(got))
    return got
number = 0
def send(said, kind):
    global number
    number += 1
    text = json.dumps({'id': number, 'handles': [said]}).encode()
    payload = struct.pack('<I', len(text)) + text + json.dumps(number).encode()
    socket.send_fds(s, [struct.pack('<IBB', len(payload), 9, 2) + payload], [descriptor(kind)])
    while True:
        length, answer, flags = struct.unpack('<IBB', exactly(6))
        payload = exactly(length)
        if answer in (3, 4): return answer == 3
kinds = [kind for kind in [*KINDS, *STATES] if possible(kind)]
for type in json.loads(sys.argv[3]):
    for kind in kinds: print(json.dumps([type, kind, send({'type': type, 'dgramType': 'udp4'}, kind)]))
for words in json.loads(sys.argv[4]):
    for kind in kinds: print(json.dumps([words, kind, send({'type': 'fd', **words}, kind)]))
`;

const release = (handle) => (typeof handle.destroy === 'function' ? handle.destroy() : handle.close());

test('a descriptor of any kind under any type arrives where it fits, and is closed where it does not', { timeout: 60_000 }, async (t) => {
  const { server, client } = await pair(t);
  server.handle('ping', () => 'pong');
  let taken = 0;
  server.on('connection', (connection) => connection.on('message', (message, handle) => {
    taken++;
    assert.notStrictEqual(handle, undefined);
    handle.on?.('error', () => {}); // a connection that was reset, for instance
    if (typeof handle.read === 'function') handle.resume(); // over what cannot be waited for, libuv aborts
    setImmediate(release, handle);
  }));
  const open = () => fs.readdirSync('/proc/self/fd').length;
  const before = open();
  const child = spawn('python3', ['-c', STRANGER, server.address().slice('unix:'.length), path.join(__dirname, '../hostile'), JSON.stringify(TYPES), JSON.stringify(ODD)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const fates = (await text(child.stdout)).trim().split('\n').map((line) => JSON.parse(line));
  assert.ok(fates.length >= (TYPES.length + ODD.length) * 14, `${fates.length}`);
  for (const [type, kind, arrived] of fates) {
    const what = `${kind} as ${JSON.stringify(type)}`;
    if (type === 'fd') assert.strictEqual(arrived, true, what);
    else if (typeof type === 'string' && TYPES.indexOf(type) > TYPES.indexOf('fd')) assert.strictEqual(arrived, false, what);
    else if (FITTING[type] !== undefined && !/-|null/.test(kind.replace('unix-stream', ''))) assert.strictEqual(arrived, FITTING[type].includes(kind), what);
    else if (type.shared !== undefined) assert.strictEqual(arrived, false, what);
  }
  assert.strictEqual(taken, fates.filter(([, , arrived]) => arrived).length);
  assert.strictEqual(await client.request('ping'), 'pong');
  await until(() => open() <= before, 'descriptors to be closed');
});

for (const codec of ['lines', 'lsp']) {
  test(`${codec}: a program that knows no handles is sent none`, async (t) => {
    const { client, accepted } = await pair(t, { codec });
    const number = fs.openSync('/dev/null');
    const fd = new Fd(number);
    fs.closeSync(number);
    for (const end of [client, accepted]) assert.throws(() => end.send({ a: 1 }, fd), { code: 'ERR_RSIPC_NO_HANDLES' });
    assert.ok(fd.fd >= 0);
    fd.close();
  });
}

test('a connection that was looked at goes to a process that is no child, with all of what it says', async (t) => {
  // The servers behind are found by their names; the one in front listens at an endpoint, too.
  const [behind, front] = [PLACES['unix:'](t), PLACES['unix:'](t)];
  const code = `
    const http = require('node:http');
    const { serve } = require(${JSON.stringify(require.resolve('../../index.js'))});
    const server = http.createServer(async (request, response) => {
      let bytes = 0;
      for await (const piece of request) bytes += piece.length;
      response.end(process.pid + ' has ' + bytes + ' of ' + request.headers['x-collection']);
    });
    serve(${JSON.stringify(behind)}).then((rsipc) => {
      rsipc.on('connection', (connection) => connection.on('message', (message, socket) => server.emit('connection', socket)));
      console.log('listening');
    });`;
  const worker = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(async () => {
    const ended = happened(worker, 'exit');
    worker.kill('SIGKILL');
    await ended;
  });
  await happened(worker.stdout, 'data');
  const client = await connect(behind);
  t.after(() => client.destroy());
  const over = httpOver(front, { agent: { keepAlive: false } });
  const server = net.createServer({ pauseOnConnect: true }, async (socket) => {
    const { headers } = await peek(socket);
    assert.strictEqual(headers['x-collection'], 'videos');
    await client.send('connection', socket);
  });
  await over.listen(server);
  const upload = http.request({ agent: over.agent, method: 'POST', headers: { 'X-Collection': 'videos' } });
  upload.end(Buffer.alloc(1024 * 1024));
  const [response] = await happened(upload, 'response');
  assert.strictEqual(await text(response), `${worker.pid} has 1048576 of videos`);
  await over.close();
  await new Promise((resolve) => server.close(resolve));
});

