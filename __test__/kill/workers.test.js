'use strict';
// Environments that end: forty worker threads terminated under traffic, and two copies of the
// package side by side. workers.mjs does a thousand.

const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test, before, after } = require('node:test');
const { terminate } = require('./workers.js');
const { random } = require('./traffic.js');
const { opened, settles, within, Witness, ECHO } = require('../hostile/ledger.js');

const root = path.join(__dirname, '..', '..');
let witness;

before(async () => {
  witness = new Witness();
  await witness.check();
});

after(() => witness.end());

test('forty threads terminated under traffic take nothing with them and leave nothing', async () => {
  const seed = Date.now() % 2 ** 31;
  await terminate(2, random(seed));
  const open = await opened();
  const { terminated, talked, errors } = await terminate(40, random(seed), { longest: 30 });
  assert.deepStrictEqual(errors, [], `seed ${seed}`);
  assert.strictEqual(terminated, 40);
  assert.ok(talked > 12, `${talked} had begun to talk`);
  await witness.check();
  await settles(open);
});

test('threads that write to the parent and are terminated tear no message', async () => {
  const rsipc = require('../../index.js');
  const child = rsipc.fork(path.join(__dirname, 'fixtures', 'threads.js'), ['20', '7'], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const next = new Map();
  const errors = [];
  let result;
  child.on('message', (message) => {
    if (message.result) {
      ({ result } = message);
      return;
    }
    if (message.number !== (next.get(message.thread) ?? 0)) errors.push(message);
    next.set(message.thread, message.number + 1);
  });
  child.on('protocolError', (error) => errors.push(error));
  const code = await within(new Promise((resolve) => child.once('exit', resolve)), 'the child', 60_000);
  assert.strictEqual(code, 0);
  assert.deepStrictEqual(errors, []);
  assert.deepStrictEqual(result.errors, []);
  assert.ok(next.size > 5, `${next.size} threads were heard`);
});

test('two copies of the package work side by side', async () => {
  const copy = fs.mkdtempSync(path.join(os.tmpdir(), 'rsipc-copy-'));
  try {
    for (const name of ['index.js', 'package.json', 'lib']) fs.cpSync(path.join(root, name), path.join(copy, name), { recursive: true });
    const copies = [require('../../index.js'), require(path.join(copy, 'index.js'))];
    assert.notStrictEqual(copies[0], copies[1]);
    assert.strictEqual(copies[0].version, copies[1].version);
    const children = copies.map(({ fork }) => fork(ECHO, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }));
    const echoed = children.map((child) => new Promise((resolve) => child.once('message', resolve)));
    for (const [index, child] of children.entries()) child.send({ from: index });
    assert.deepStrictEqual(await Promise.all(echoed), [{ from: 0 }, { from: 1 }]);
    for (const child of children) assert.strictEqual(typeof child.request, 'function'); // each is ours
    await Promise.all(children.map((child) => {
      const exited = new Promise((resolve) => child.once('exit', resolve));
      child.disconnect();
      return exited;
    }));

    // In a child, the first to load has the channel and the second finds it taken over.
    const source = `const a = require(${JSON.stringify(root)}); const b = require(${JSON.stringify(copy)});
      a.parent.onRequest((body) => ['first', body]); b.parent.send({ second: a.parent.connected && b.parent.connected });`;
    const both = path.join(copy, 'both.js');
    fs.writeFileSync(both, source);
    const child = copies[1].fork(both, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const heard = new Promise((resolve) => child.once('message', resolve));
    assert.deepStrictEqual(await child.request(1), ['first', 1]);
    assert.deepStrictEqual(await heard, { second: true });
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill();
    await exited;
  } finally {
    fs.rmSync(copy, { recursive: true, force: true });
  }
});
