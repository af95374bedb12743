'use strict';
// What was sent before the process ends arrives, however it ends; or the loss is told.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { test } = require('node:test');
const { node, rsipc, fixture, environment } = require('../helpers/modules.js');
const { leavesNothing, temporary } = require('../helpers/leavings.js');
const { happened, until, text } = require('../helpers/wait.js');

leavesNothing();

// Everything a parent gets of a child that ends at once.
async function receive(cp, args, stderr = 'inherit') {
  const child = cp.fork(fixture('lifecycle/send-and-exit'), args, { stdio: ['ignore', 'ignore', stderr, 'ipc'], env: environment(false) });
  const said = stderr === 'pipe' ? text(child.stderr) : '';
  const got = { count: 0, characters: 0, ordered: true, last: undefined };
  child.on('message', (message) => {
    got.ordered &&= message.i === got.count;
    got.count++;
    got.characters += message.text.length;
    got.last = message.text.length < 100 ? message.text : '';
  });
  const [code, signal] = await happened(child, 'exit');
  if (child.connected) await happened(child, 'disconnect');
  return { ...got, code, signal, said: await said };
}

for (const [cp, name] of [[node, 'node:child_process'], [rsipc, 'rsipc']]) {
  for (const [count, size] of [[1_000, 10], [1_000, 1_024], [1, 1_000_000], [20_000, 10]]) {
    test(`${count} messages of ${size} characters before process.exit() reach a parent that uses ${name}`, async () => {
      const { count: arrived, characters, ordered, code } = await receive(cp, [String(count), String(size), 'exit']);
      assert.deepStrictEqual({ arrived, characters, ordered, code }, { arrived: count, characters: count * size, ordered: true, code: 0 });
    });
  }
}

// One message may not be larger than the parent's 64 MiB, so 100 MB are several.
test('100 MB before process.exit() arrive', async () => {
  const { count, characters, ordered, code } = await receive(rsipc, ['10', '10000000', 'exit']);
  assert.deepStrictEqual({ count, characters, ordered, code }, { count: 10, characters: 100_000_000, ordered: true, code: 0 });
});

for (const how of ['throw', 'reject']) {
  test(`messages before an uncaught ${how} arrive, and the exit code stays`, async () => {
    const { count, code, said } = await receive(rsipc, ['2000', '1000', how], 'pipe');
    assert.deepStrictEqual({ count, code }, { count: 2_000, code: 1 });
    assert.match(said, /on purpose/);
  });
}

test('a report sent by an uncaughtException handler that exits arrives', async () => {
  const { count, last, code } = await receive(rsipc, ['1000', '2000', 'handler']);
  assert.deepStrictEqual({ count, last, code }, { count: 1_001, last: 'the report', code: 5 });
});

test('a report sent by an exit listener arrives', async () => {
  const { count, last, code } = await receive(rsipc, ['1000', '2000', 'exit listener']);
  assert.deepStrictEqual({ count, last, code }, { count: 1_001, last: 'the report', code: 0 });
});

test('messages before disconnect() and process.exit() arrive', async () => {
  const { count, code } = await receive(rsipc, ['2000', '1000', 'disconnect']);
  assert.deepStrictEqual({ count, code }, { count: 2_000, code: 0 });
});

for (const [count, size] of [[1_000, 10], [1_000, 1_024], [1, 1_000_000]]) {
  test(`${count} messages of ${size} characters of a parent that exits reach a plain child`, async () => {
    const file = path.join(temporary(), 'counted');
    const parent = spawn(process.execPath, [fixture('lifecycle/parent-sends-and-exits'), String(count), String(size), file], { stdio: ['ignore', 'ignore', 'inherit'], env: environment(false) });
    assert.deepStrictEqual(await happened(parent, 'exit'), [0, null]);
    await until(() => fs.existsSync(file) && fs.statSync(file).size > 0, 'the child to have counted');
    assert.deepStrictEqual(JSON.parse(fs.readFileSync(file)), { count, characters: count * size, ordered: true });
  });
}

// A child whose parent reads nothing, because nothing here looks at descriptor 3.
function unread(how) {
  return spawn('sh', ['-c', 'exec "$0" "$@" 3<&0', process.execPath, fixture('lifecycle/send-and-exit'), '1000', '10000', how],
    { stdio: ['pipe', 'ignore', 'pipe'], env: environment(false, { NODE_CHANNEL_FD: '3' }) });
}

test('with a parent that reads nothing the exit happens at the deadline, and the loss is told', async () => {
  const child = unread('exit');
  const said = text(child.stderr);
  const started = Date.now();
  const [code] = await happened(child, 'exit');
  assert.ok(Date.now() - started >= 1_990, 'not before the deadline');
  assert.strictEqual(code, 0);
  const [, messages, bytes] = /\(rsipc:\d+\) Warning: (\d+) messages \((\d+) bytes\) to the parent were not delivered/.exec(await said);
  assert.ok(Number(messages) > 900 && Number(messages) <= 1_000, messages);
  assert.ok(Number(bytes) > 9_000_000, bytes);
});

test('exit listeners that send to a parent that reads nothing wait for one deadline between them', async () => {
  const child = unread('exit listeners');
  const said = text(child.stderr);
  const started = Date.now();
  const [code] = await happened(child, 'exit');
  assert.strictEqual(code, 0);
  // Twenty listeners, two seconds each, would be forty.
  assert.ok(Date.now() - started < 20_000);
  assert.match(await said, /were not delivered/);
});

test('a parent with several stopped children exits at one deadline, and what the living have to get arrives', async () => {
  const parent = spawn(process.execPath, [fixture('lifecycle/exits-with-stopped')], { stdio: ['ignore', 'pipe', 'pipe'], env: environment(false) });
  const [said, counted] = [text(parent.stderr), text(parent.stdout)];
  const exit = happened(parent, 'exit');
  await happened(parent.stdout, 'data');
  const started = Date.now();
  const [code] = await exit;
  assert.strictEqual(code, 0);
  // Twelve stopped children, two seconds each, would be 24.
  assert.ok(Date.now() - started < 20_000);
  assert.strictEqual((await said).match(/were not delivered/g).length, 12);
  assert.strictEqual(await counted, 'leaving\n100\n');
});

test('with a parent that is gone the exit is immediate and silent', async () => {
  const child = rsipc.fork(fixture('lifecycle/exit-when-told'), [], { stdio: ['pipe', 'ignore', 'pipe', 'ipc'], env: environment(false) });
  const said = text(child.stderr);
  await happened(child, 'message');
  child.disconnect();
  child.stdin.end('now');
  const [code] = await happened(child, 'exit');
  assert.deepStrictEqual([code, await said], [0, '']);
});

for (const [how, expected] of [['default', { signal: 'SIGTERM', code: null }], ['own listener', { signal: null, code: 9 }], ['two signals', { signal: 'SIGINT', code: null }]]) {
  test(`flushOnSignals writes the queue before the process ends (${how})`, async () => {
    const child = rsipc.fork(fixture('lifecycle/sigterm'), [how], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], env: environment(false) });
    let count = 0;
    child.on('message', (message) => {
      if (message === 'ready') child.send('go');
      else if (message.i === count) count++;
    });
    const [code, signal] = await happened(child, 'exit');
    assert.deepStrictEqual({ count, code, signal }, { count: 500, ...expected });
  });
}

test('flushOnSignals gives a function that takes it back', async () => {
  const child = rsipc.fork(fixture('lifecycle/sigterm'), ['removed'], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], env: environment(false) });
  child.on('message', (message) => message === 'ready' && child.send('go'));
  const [, signal] = await happened(child, 'exit');
  assert.strictEqual(signal, 'SIGTERM');
  assert.throws(() => rsipc.flushOnSignals('SIGTERM'), TypeError);
});

test('two ends that both flush a large queue make room for each other', async () => {
  const child = rsipc.fork(fixture('lifecycle/flush-both'), [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], env: environment(false) });
  await happened(child, 'message');
  let characters = 0;
  child.on('message', (message) => { characters += message.length; });
  child.send('go');
  const text20 = 'x'.repeat(1_000_000);
  for (let i = 0; i < 20; i++) child.send(text20);
  assert.deepStrictEqual(child.channel.flushSync({ deadline: 30_000 }), { messages: 0, bytes: 0 });
  await happened(child, 'exit');
  assert.strictEqual(characters, 20_000_000);
});
