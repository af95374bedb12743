'use strict';
// Names that others choose: of requests, topics, channels, keys and places. None is run, none leads elsewhere, and none
// reaches a prototype.

const { test } = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { leavesNothing, temporary } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { PLACES, pair } = require('./places.js');
const rsipc = require('../../index.js');

// The directory of names stays open for the life of a process that has had shared memory.
rsipc.Cell.create({ capacity: 64 }).close();

leavesNothing();

const NAMES = [
  '__proto__', 'constructor', 'prototype', 'constructor.prototype', '__defineGetter__', '__lookupSetter__', 'hasOwnProperty', 'toString', 'valueOf', 'then', 'length',
  '0', '-1', '4294967295', '1e3', 'Symbol(nodejs.rejection)', '@@iterator', '', ' ', 'error', 'close', 'message', 'newListener',
];

// What no name may change.
function prototypes() {
  return [Object, Array, Map, Set, Function, Promise, String].map(({ prototype }) => JSON.stringify(Reflect.ownKeys(prototype).map((key) => [String(key), typeof Object.getOwnPropertyDescriptor(prototype, key).value])));
}

for (const codec of ['json', 'v8', 'raw', 'lines']) {
  test(`${codec}: a request under each name reaches its handler and no other, and without one says so`, async (t) => {
    const options = codec === 'lines' ? { codec, jsonRpc: true } : { codec };
    const { server, client, accepted } = await pair(t, options);
    const before = prototypes();
    const raw = (value) => (codec === 'raw' ? Buffer.from(value) : value);
    for (const name of NAMES) await assert.rejects(client.request(name, raw('x')), (error) => error.code === 'ERR_RSIPC_NO_HANDLER' || error.code === -32_601, name);
    for (const name of NAMES) server.handle(name, (body, asked) => raw(`${asked.name}: ${body}`));
    for (const name of NAMES) assert.strictEqual(String(await client.request(name, raw('x'))), `${name}: x`);
    for (const name of NAMES) client.handle(name, () => raw('of the client'));
    for (const name of NAMES) assert.strictEqual(String(await accepted.request(name, raw('x'))), 'of the client');
    assert.deepStrictEqual(prototypes(), before);
  });
}

test('a hello, an error and a message with such keys change nothing', async (t) => {
  const server = await rsipc.serve(PLACES['unix:'](t), { protoAction: 'keep' });
  t.after(() => server.close({ timeout: 100 }));
  server.handle('throws', () => {
    throw Object.assign(new Error('x'), { code: '__proto__', name: '__proto__' });
  });
  const before = prototypes();
  const connection = happened(server, 'connection');
  const socket = net.connect(server.address().slice('unix:'.length)).resume();
  t.after(() => socket.destroy());
  const keys = NAMES.map((name) => `${JSON.stringify(name)}:{"polluted":1}`).join();
  socket.write(`rsipc/1 {"codec":"json","session":"__proto__",${keys}}\n`);
  const [accepted] = await connection;
  const text = Buffer.from(`{${keys}}\n`);
  const head = Buffer.alloc(6);
  head.writeUInt32LE(text.length);
  head[4] = 1;
  socket.write(Buffer.concat([head, text]));
  const [message] = await happened(accepted, 'message');
  assert.deepStrictEqual(Object.keys(message).sort(), [...NAMES].sort());
  assert.strictEqual(accepted.peer.polluted, undefined);
  const client = await rsipc.connect(server.address());
  t.after(() => client.destroy());
  await assert.rejects(client.request('throws'), { code: '__proto__' });
  assert.deepStrictEqual(prototypes(), before);
  assert.strictEqual({}.polluted, undefined);
});

test('topics of each name are topics like others', async (t) => {
  const bus = await rsipc.openBus(`rsipc:test.names.${process.pid}`);
  t.after(() => bus.close());
  const before = prototypes();
  const heard = [];
  const topics = NAMES.filter((name) => !/^\s*$/.test(name));
  for (const topic of topics) await bus.subscribe(topic, (message, name) => heard.push([name, message]));
  for (const topic of topics) await bus.publish(topic, `of ${topic}`, { retain: true });
  await until(() => heard.length >= topics.length, 'all to come');
  assert.deepStrictEqual(heard, topics.map((topic) => [topic, `of ${topic}`]));
  const retained = [];
  await bus.subscribe('**', (message, name) => retained.push(name)).catch(() => {});
  assert.deepStrictEqual(prototypes(), before);
});

// ---- places ----

const PLACED = ['; touch canary', '$(touch canary)', '`touch canary`', '| touch canary', '&& touch canary', 'a b', "a'b", 'a"b', '-rf', '%s%n', '..canary', '\ud83d\ude00', 'a\nb', '*', '~'];

test('a path is a path whatever it looks like: a socket is there, under that very name, and nothing is run', async (t) => {
  const directory = temporary();
  const cwd = process.cwd();
  process.chdir(directory);
  t.after(() => process.chdir(cwd));
  for (const scheme of ['unix:', 'unix+dgram:', 'unix+seqpacket:', 'fifo:']) {
    for (const name of PLACED) {
      const server = await rsipc.serve(`${scheme}${directory}/${name}`);
      const connection = happened(server, 'connection');
      const client = await rsipc.connect(server.address());
      client.send(name);
      const [accepted] = await connection;
      assert.deepStrictEqual(await happened(accepted, 'message'), [name]);
      assert.ok(fs.readdirSync(directory).includes(name), name);
      client.destroy();
      await server.close({ timeout: 100 });
      if (scheme === 'fifo:') fs.unlinkSync(path.join(directory, name));
      assert.deepStrictEqual(fs.readdirSync(directory).filter((file) => file.includes('canary') && !PLACED.includes(file)), []);
    }
  }
  for (const file of fs.readdirSync(directory)) fs.unlinkSync(path.join(directory, file)); // locks
});

test('a name of this user that is not in their grammar is refused before anything is looked for', async () => {
  for (const name of ['', '.', '..', '../x', 'a/b', '/etc/x', '-x', '.x', 'a b', 'a;b', '$(x)', '`x`', 'a\nb', 'a\0b', 'ä', 'x'.repeat(129)]) {
    const endpoint = `rsipc:${name}`;
    for (const open of [rsipc.serve, rsipc.connect, rsipc.openBus]) await assert.rejects(async () => open(endpoint), { code: 'ERR_RSIPC_INVALID_ENDPOINT' }, JSON.stringify(name));
    assert.throws(() => rsipc.Ring.create({ name, capacity: 4_096, flavor: 'spsc' }), (error) => error.code.startsWith('ERR_'), JSON.stringify(name));
  }
  for (const endpoint of ['unix:', 'unix:/', 'unix:/tmp/', 'unix:/tmp/..', 'unix:/tmp/\0x', 'fifo:/tmp/.', 'file:', 'unix:@', `unix:@${'x'.repeat(108)}`, 'tcp://;x:1', 'tcp://$(x):1', 'tcp://-x:1', 'udp://a b:1']) {
    for (const open of [rsipc.serve, rsipc.connect]) await assert.rejects(async () => open(endpoint), { code: 'ERR_RSIPC_INVALID_ENDPOINT' }, JSON.stringify(endpoint));
  }
});
