'use strict';
// rsipc/node-ipc against node-ipc itself, in both roles, over every kind of socket.

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const dgram = require('node:dgram');
const path = require('node:path');
const { test, before } = require('node:test');
const { leavesNothing, temporary } = require('../helpers/leavings.js');
const { within, until } = require('../helpers/wait.js');

const IMPLEMENTATIONS = { ours: require('rsipc/node-ipc').IPC, theirs: require('node-ipc').IPC };
const PAIRS = [['ours', 'theirs'], ['theirs', 'ours'], ['ours', 'ours']];
const HOST = '127.0.0.1';

leavesNothing();

const folder = temporary();
let certificate;

before(() => {
  const [key, cert] = ['server.key', 'server.pub'].map((name) => path.join(folder, name));
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
    '-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert], { stdio: 'ignore' });
  certificate = { private: key, public: cert, rejectUnauthorized: false };
});

async function freePort(kind) {
  const probe = kind === 'udp' ? dgram.createSocket('udp4') : net.createServer();
  await new Promise((resolve) => { kind === 'udp' ? probe.bind(0, HOST, resolve) : probe.listen(0, HOST, resolve); });
  const { port } = probe.address();
  await new Promise((resolve) => { probe.close(resolve); });
  return port;
}

function make(implementation, config = {}) {
  const ipc = new IMPLEMENTATIONS[implementation]();
  Object.assign(ipc.config, { silent: true, retry: 20, networkHost: HOST, id: 'world', ...config });
  return ipc;
}

let sockets = 0;

const KINDS = {
  unix: {
    config: () => ({ socketRoot: `${folder}/`, appspace: `t${++sockets}.` }),
    serve: (ipc, started) => ipc.serve(started),
    connect: (ipc, _, done) => ipc.connectTo('world', done),
  },
  tcp: {
    config: async () => ({ networkPort: await freePort('tcp') }),
    serve: (ipc, started) => ipc.serveNet(started),
    connect: (ipc, port, done) => ipc.connectToNet('world', HOST, port, done),
  },
  tls: {
    config: async () => ({ networkPort: await freePort('tcp'), tls: { ...certificate } }),
    serve: (ipc, started) => ipc.serveNet(HOST, ipc.config.networkPort, started),
    connect: (ipc, port, done) => ipc.connectToNet('world', port, done),
  },
};

// Runs `use({ server, client, of })` with a server that has started and a client that has connected.
async function joined(kind, [serving, connecting], more, use) {
  const config = { ...await KINDS[kind].config(), ...more };
  const server = make(serving, { ...config, tls: config.tls && { ...config.tls } });
  const client = make(connecting, { ...config, tls: config.tls && { ...config.tls } });
  await within(new Promise((resolve, reject) => {
    KINDS[kind].serve(server, resolve);
    server.server.on('error', reject);
    server.server.start();
  }), 'the server starts');
  await within(new Promise((resolve) => {
    KINDS[kind].connect(client, config.networkPort, () => client.of.world.on('connect', resolve));
  }), 'the client connects');
  try {
    await use({ server, client, of: client.of.world });
  } finally {
    client.disconnect('world');
    for (const socket of [...server.server.sockets]) socket.destroy();
    await new Promise((resolve) => {
      server.server.server.on('close', resolve);
      server.server.stop();
    });
  }
}

for (const kind of Object.keys(KINDS)) {
  for (const pair of PAIRS) {
    const names = `${kind}, server ${pair[0]}, client ${pair[1]}`;

    test(`${names}: messages go both ways with their types, in order`, () => joined(kind, pair, {}, async ({ server, of }) => {
      const heard = [];
      const answered = [];
      server.server.on('question', (data, socket) => {
        heard.push(data.n);
        server.server.emit(socket, 'answer', { n: data.n, text: `é\f${data.text}` });
      });
      of.on('answer', (data) => answered.push(data));
      for (let n = 0; n < 500; n++) of.emit('question', { n, text: 'x'.repeat(n) });
      await until(() => answered.length === 500, 'all answers are here');
      assert.deepEqual(heard, [...Array(500).keys()]);
      assert.deepEqual(answered.map(({ n, text }) => [n, text.length]), [...Array(500).keys()].map((n) => [n, n + 2]));
      assert.equal(answered[7].text, `é\f${'x'.repeat(7)}`);
    }));

    test(`${names}: a message of a megabyte arrives whole`, () => joined(kind, pair, {}, async ({ server, of }) => {
      const text = 'ü'.repeat(512 * 1024);
      const got = new Promise((resolve) => { server.server.on('large', resolve); });
      of.emit('large', text);
      assert.equal(await within(got, 'the message'), text);
    }));

    test(`${names}: empty data arrives as node-ipc sends it`, () => joined(kind, pair, {}, async ({ server, of }) => {
      const got = [];
      server.server.on('value', (data) => got.push(data));
      for (const value of [undefined, null, '', 0, false, Number.NaN, 'a', 1, [], [null]]) of.emit('value', value);
      await until(() => got.length === 10, 'all values are here');
      assert.deepEqual(got, [{}, {}, {}, 0, false, {}, 'a', 1, [], [null]]);
    }));

    test(`${names}: a broadcast reaches the client, and its id comes with 'socket.disconnected'`, () => joined(kind, pair, {}, async ({ server, client, of }) => {
      const heard = new Promise((resolve) => { of.on('news', resolve); });
      const named = new Promise((resolve) => { server.server.on('name', (_, socket) => resolve(socket.id)); });
      of.emit('name', { id: 'hello' });
      assert.equal(await within(named, 'the name'), 'hello');
      server.server.broadcast('news', [1, 2]);
      assert.deepEqual(await within(heard, 'the broadcast'), [1, 2]);
      const gone = new Promise((resolve) => { server.server.on('socket.disconnected', (_, id) => resolve(id)); });
      client.disconnect('world');
      assert.equal(await within(gone, 'the disconnection'), 'hello');
      assert.deepEqual(server.server.sockets, []);
      assert.deepEqual(client.of, {});
    }));

    test(`${names}: raw bytes go both ways`, () => joined(kind, pair, { rawBuffer: true, encoding: 'hex' }, async ({ server, of }) => {
      const bytes = Buffer.from([0, 1, 255, 12, 128, 10]);
      const there = [];
      const back = [];
      server.server.on('data', (data, socket) => {
        there.push(data);
        server.server.emit(socket, data.toString('hex'));
      });
      of.on('data', (data) => back.push(data));
      of.emit(bytes.toString('hex'));
      await until(() => Buffer.concat(back).length === bytes.length, 'the bytes are back');
      assert.deepEqual(Buffer.concat(there), bytes);
      assert.deepEqual(Buffer.concat(back), bytes);
    }));

    test(`${names}: with sync a client sends when the server has answered`, () => joined(kind, pair, { sync: true }, async ({ server, of }) => {
      const open = [];
      let most = 0;
      let answers = 0;
      server.server.on('ask', (n, socket) => {
        open.push(n);
        most = Math.max(most, open.length);
        setImmediate(() => {
          open.pop();
          server.server.emit(socket, 'told', n);
        });
      });
      of.on('told', () => answers++);
      for (let n = 0; n < 20; n++) of.emit('ask', n);
      await until(() => answers === 20, 'all answers are here');
      assert.equal(most, 1);
    }));

    test(`${names}: a client connects again when the server has come back`, () => joined(kind, pair, {}, async ({ server, of }) => {
      const events = [];
      for (const type of ['connect', 'disconnect']) of.on(type, () => events.push(type));
      await until(() => server.server.sockets.length === 1, 'the server has the connection');
      server.server.sockets[0].destroy();
      await until(() => events.includes('connect'), 'the second connection');
      assert.deepEqual(events, ['disconnect', 'connect']);
      const got = new Promise((resolve) => { server.server.on('after', resolve); });
      of.emit('after', 1);
      assert.equal(await within(got, 'the message'), 1);
    }));
  }
}

for (const pair of PAIRS) {
  for (const rawBuffer of [false, true]) {
    test(`udp, server ${pair[0]}, client ${pair[1]}: ${rawBuffer ? 'raw' : 'framed'} datagrams go both ways`, async () => {
      const ports = [await freePort('udp'), await freePort('udp')];
      const ends = pair.map((implementation, index) => {
        const ipc = make(implementation, { rawBuffer, encoding: 'utf8', networkPort: ports[index] });
        ipc.serveNet('udp4', () => {});
        return ipc;
      });
      const [world, hello] = ends;
      try {
        await within(Promise.all(ends.map((ipc) => new Promise((resolve) => {
          ipc.server.on('connect', resolve);
          ipc.server.start();
        }))), 'both are bound');
        const type = rawBuffer ? 'data' : 'message';
        world.server.on(type, (data, from) => (rawBuffer
          ? world.server.emit(from, `${data} world`)
          : world.server.emit(from, 'message', { text: `${data.text} world` })));
        const answer = new Promise((resolve) => { hello.server.on(type, resolve); });
        const to = { address: HOST, port: ports[0] };
        if (rawBuffer) hello.server.emit(to, 'hello');
        else hello.server.emit(to, 'message', { text: 'hello' });
        const got = await within(answer, 'the answer');
        assert.equal(rawBuffer ? String(got) : got.text, 'hello world');
      } finally {
        for (const ipc of ends) await new Promise((resolve) => { ipc.server.server.close(resolve); });
      }
    });
  }
}

test('a client of node-ipc is sent everything that was emitted before process.exit()', async () => {
  const socket = path.join(folder, 'exit');
  const ipc = make('theirs');
  ipc.serve(socket, () => {});
  const got = [];
  ipc.server.on('last', (n) => got.push(n));
  await within(new Promise((resolve) => {
    ipc.server.on('start', resolve);
    ipc.server.start();
  }), 'the server starts');
  const { spawn } = require('node:child_process');
  const child = spawn(process.execPath, [path.join(__dirname, '../fixtures/node-ipc/exit.js'), socket], { stdio: 'inherit' });
  await within(new Promise((resolve) => { child.on('exit', resolve); }), 'the child exits');
  await until(() => got.length === 100, 'all are here');
  assert.deepEqual(got, [...Array(100).keys()].map((n) => n + 1));
  await new Promise((resolve) => {
    ipc.server.server.on('close', resolve);
    ipc.server.stop();
  });
  assert.equal(fs.existsSync(socket), false);
});
