'use strict';
// Many messages with handles in one tick: they leave together and arrive together.

const { test } = require('node:test');
const assert = require('node:assert');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { pair, PLACES } = require('./places.js');
const { serve, Fd } = require('../../index.js');

leavesNothing();

function anFd() {
  const number = fs.openSync('/dev/null');
  const fd = new Fd(number); // has a duplicate
  fs.closeSync(number);
  return fd;
}

const descriptors = () => fs.readdirSync('/proc/self/fd').length;
const upTo = (count) => Array.from({ length: count }, (_, i) => i);

// What is thrown meanwhile.
function catching(t, handler) {
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', handler);
  t.after(() => {
    process.removeAllListeners('uncaughtException');
    for (const other of others) process.on('uncaughtException', other);
  });
}

for (const codec of ['json', 'v8']) {
  test(`each arrives once, in the order of the calls, with its own handles, among messages without any (${codec})`, async (t) => {
    const { client, accepted } = await pair(t, { codec });
    const before = descriptors();
    const got = [];
    const wrong = [];
    accepted.on('message', (message, handles) => {
      got.push(message);
      const given = handles === undefined ? 0 : [handles].flat().length;
      if (given !== message % 4) wrong.push(`${message} has ${given}`);
      for (const one of [handles ?? []].flat()) one.close();
    });
    const taken = [];
    for (let i = 0; i < 400; i++) {
      const count = i % 4;
      if (count === 0) client.send(i);
      else taken.push(client.send(i, count === 1 ? anFd() : upTo(count).map(anFd)));
    }
    await Promise.all(taken);
    await until(() => got.length === 400, 'all have come');
    assert.deepStrictEqual(got, upTo(400));
    assert.deepStrictEqual(wrong, []);
    await until(() => descriptors() <= before, 'all are closed');
  });
}

test('one whose message is long comes whole, and so do its neighbours', async (t) => {
  const { client, accepted } = await pair(t);
  const got = [];
  accepted.on('message', (message, handle) => {
    got.push([message.length, handle instanceof Fd]);
    handle.close();
  });
  const sizes = upTo(40).map((i) => (i % 3 === 0 ? 3_000 * i : i));
  await Promise.all(sizes.map((size) => client.send('x'.repeat(size), anFd())));
  assert.deepStrictEqual(got, sizes.map((size) => [size, true]));
});

test('a listener that throws at one costs no other', async (t) => {
  const { client, accepted } = await pair(t);
  const thrown = [];
  catching(t, (error) => thrown.push(error.message));
  const got = [];
  accepted.on('message', (message, handle) => {
    got.push(message);
    handle?.close();
    if (message % 10 === 0) throw new Error(`at ${message}`);
  });
  for (const i of upTo(100)) client.send(i, i % 3 === 0 ? undefined : anFd());
  await until(() => got.length === 100, 'all have come');
  assert.deepStrictEqual(got, upTo(100));
  assert.deepStrictEqual(thrown, upTo(10).map((i) => `at ${10 * i}`));
});

test('those that wait behind one whose listener threw are closed when the connection ends', async (t) => {
  const { client, accepted } = await pair(t);
  const before = descriptors();
  catching(t, () => accepted.destroy());
  const got = [];
  accepted.on('message', (message, handle) => {
    got.push(message);
    handle.close();
    if (message === 1) throw new Error('this one');
  });
  const sent = upTo(20).map((i) => client.send(i, anFd()));
  const fates = await Promise.allSettled(sent);
  assert.strictEqual(fates.at(-1).status, 'rejected');
  await until(() => descriptors() <= before, 'all are closed');
  assert.deepStrictEqual(got, [0, 1]);
});

test('those that are sent in the tick in which a process exits arrive', async (t) => {
  const endpoint = PLACES['unix:'](t);
  const server = await serve(endpoint);
  t.after(() => server.close());
  const got = [];
  server.on('connection', (connection) => connection.on('message', (message, fd) => {
    got.push(message);
    fd.close();
  }));
  const child = spawn(process.execPath, [path.join(__dirname, '../fixtures/endpoint/leaver.js'), endpoint, '10'], { stdio: 'inherit' });
  const [code] = await happened(child, 'exit');
  assert.strictEqual(code, 0);
  await until(() => got.length === 10, 'all have come');
  assert.deepStrictEqual(got, upTo(10));
});
