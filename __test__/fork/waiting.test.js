'use strict';
// Who waits for something is told when it has happened, whatever else happens in between.

const assert = require('node:assert');
const { spawn } = require('node:child_process');
const { test } = require('node:test');
const { fixture, environment } = require('../helpers/modules.js');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, within } = require('../helpers/wait.js');
const { withChild } = require('../helpers/with-child.js');

leavesNothing();

const TEXT = 'x'.repeat(70_000);

test('callbacks of gathered messages come although a larger one of the same tick takes them along', () => withChild(async (child) => {
  const called = [];
  const all = new Promise((resolve) => {
    for (const [name, text] of [['first', 'a'], ['second', 'b'], ['large', TEXT]]) {
      child.send(text, () => {
        called.push(name);
        if (called.length === 3) resolve();
      });
    }
  });
  await within(all, 'the callbacks', 5_000);
  assert.deepStrictEqual(called, ['first', 'second', 'large']);
}, { program: 'fork/stay' }));

test("'drain' comes although a larger message of the same tick takes the queue along", () => withChild(async (child) => {
  // Now and then the late writer is so early that nothing is left to wait for.
  let below = true;
  for (let i = 0; i < 100 && below; i++) below = [child.send('a'), child.send('b'.repeat(200)), child.send(TEXT)].every(Boolean);
  assert.strictEqual(below, false);
  await within(child.channel.ready(), 'room', 5_000);
}, { program: 'fork/stay', highWaterMark: 100 }));

test('what a flush has read while the channel was paused is delivered afterwards', () => withChild(async (child) => {
  const count = 3_000;
  const iterator = child.getEachMessage();
  let next = 0;
  for await (const n of iterator) {
    assert.strictEqual(n, ++next);
    // Above a thousand waiting messages the channel is not read; a flush reads all the same.
    if (next === 1) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      child.send(TEXT);
      child.channel.flushSync();
    }
    if (next === count) break;
  }
  assert.strictEqual(next, count);
}, { program: 'fork/say-then-stay', args: ['3000'] }));

test('time in which this end does not read is not held against the peer', () => withChild(async (child) => {
  const errors = [];
  child.on('protocolError', (error) => errors.push(error.code));
  let next = 0;
  for await (const { n } of child.getEachMessage()) {
    assert.strictEqual(n, ++next);
    if (next % 500 === 0) await new Promise((resolve) => setTimeout(resolve, 120));
    if (next === 5_000) break;
  }
  assert.deepStrictEqual(errors, []);
}, { program: 'fork/say', args: ['5000'], frameTimeout: 200 }));

test('a parent whose child was killed with much in the queue exits at once', async () => {
  const program = `const { fork } = require(${JSON.stringify(require.resolve('../../index.js'))});
const child = fork(${JSON.stringify(fixture('fork/stay'))}, [], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'], flushDeadline: 30000 });
process.kill(child.pid, 'SIGSTOP');
for (let n = 0; n < 20; n++) child.send('x'.repeat(1000000));
child.kill('SIGKILL');
process.exit(0);`;
  const parent = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'ignore', 'inherit'], env: environment(false) });
  assert.deepStrictEqual(await happened(parent, 'exit', 20_000), [0, null]);
});

// Whoever sends on as soon as he is called back, and is as slow as the child, waits for nothing else.
async function sendOnUntil(child, met, next) {
  let sent = 0;
  while (!met() && sent < 100_000) {
    await next(sent);
    sent++;
  }
  return sent;
}

test('the loop turns while a sender does nothing but wait for its callbacks', () => withChild(async (child) => {
  let turned = false;
  setImmediate(() => { turned = true; });
  const sent = await sendOnUntil(child, () => turned, (n) => new Promise((resolve) => child.send(n, resolve)));
  assert.ok(sent < 1_000, `${sent} messages until the loop turned`);
}, { program: 'fork/stay', transport: 'socket' }));

test('callbacks keep their order whichever way they are told', () => withChild(async (child) => {
  const called = [];
  const sent = [];
  for (let n = 0; n < 3_000; n++) {
    sent.push(n);
    child.send(n, () => called.push(n));
    if (n % 100 === 0) await new Promise(process.nextTick);
  }
  await new Promise((resolve) => child.send('last', resolve));
  assert.deepStrictEqual(called, sent);
}, { program: 'fork/stay' }));
