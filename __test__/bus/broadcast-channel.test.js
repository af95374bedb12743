'use strict';
// The web's BroadcastChannel, in one process and between two.

const { test } = require('node:test');
const assert = require('node:assert');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { BroadcastChannel } = require('../../index.js');

leavesNothing();

let counter = 0;

function channels(t, count, name = `ünusual name / ${process.pid} ${++counter}`) {
  return Array.from({ length: count }, () => {
    const channel = new BroadcastChannel(name);
    t.after(() => channel.close());
    return channel;
  });
}

test('a message reaches the other channels of its name in the process, and not its own', async (t) => {
  const [one, two, three] = channels(t, 3);
  const [other] = channels(t, 1);
  const heard = [];
  for (const [index, channel] of [one, two, three, other].entries()) channel.onmessage = (event) => heard.push([index, event]);
  one.postMessage({ map: new Map([[1, 2n]]), date: new Date(0) });
  two.postMessage(undefined);
  await until(() => heard.length === 4, 'four messages');
  const of = (index) => heard.filter(([whose]) => whose === index).map(([, { data }]) => typeof data);
  assert.deepStrictEqual([0, 1, 2, 3].map(of), [['undefined'], ['object'], ['object', 'undefined'], []]);
  const [, event] = heard.find(([index]) => index === 1);
  assert.ok(event instanceof MessageEvent);
  assert.strictEqual(event.type, 'message');
  assert.deepStrictEqual(event.data, { map: new Map([[1, 2n]]), date: new Date(0) });
});

test('a message reaches another process, and its answer comes back', { timeout: 60_000 }, async (t) => {
  const [channel] = channels(t, 1);
  const { name } = channel;
  const heard = [];
  channel.addEventListener('message', ({ data }) => {
    heard.push(data);
    if (data === 'here') channel.postMessage(['hello']);
  });
  const child = spawn(process.execPath, [path.join(__dirname, '../fixtures/bus/member.js'), name, 'channel'], { stdio: ['ignore', 'inherit', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const ended = happened(child, 'exit');
  await until(() => heard.length === 2, 'the answer');
  assert.deepStrictEqual(heard, ['here', { pid: child.pid, got: ['hello'] }]);
  child.kill('SIGKILL');
  await ended;
});

test('onmessage is one listener, which can be replaced and removed', async (t) => {
  const [one, two] = channels(t, 2);
  const heard = [];
  assert.strictEqual(two.onmessage, null);
  two.onmessage = () => heard.push('first');
  two.addEventListener('message', () => heard.push('listener'));
  const second = () => heard.push('second');
  two.onmessage = second;
  assert.strictEqual(two.onmessage, second);
  one.postMessage(1);
  await until(() => heard.length === 2, 'both');
  two.onmessage = null;
  one.postMessage(2);
  await until(() => heard.length === 3, 'the listener');
  assert.deepStrictEqual(heard, ['second', 'listener', 'listener']);
});

test('wrong uses throw what the web throws', (t) => {
  const [channel] = channels(t, 1);
  assert.throws(() => new BroadcastChannel(), TypeError);
  assert.throws(() => channel.postMessage(), TypeError);
  assert.throws(() => channel.postMessage(() => {}), { name: 'DataCloneError' });
  assert.throws(() => channel.postMessage(Symbol('x')), { name: 'DataCloneError' });
  channel.close();
  channel.close();
  assert.throws(() => channel.postMessage(1), { name: 'InvalidStateError' });
});

test('a closed channel hears nothing, and what it had said arrives', async (t) => {
  const [one, two, three] = channels(t, 3);
  const heard = [];
  one.onmessage = () => heard.push('closed');
  two.onmessage = ({ data }) => heard.push(data);
  three.postMessage('said');
  three.close();
  one.close();
  await until(() => heard.length === 1, 'the message');
  assert.deepStrictEqual(heard, ['said']);
});

test('an open channel keeps its process, unless unref says otherwise', { timeout: 60_000 }, async () => {
  const root = JSON.stringify(path.join(__dirname, '../..'));
  const run = (code) => spawn(process.execPath, ['-e', `const channel = new (require(${root}).BroadcastChannel)('${process.pid} ref'); ${code}`], { stdio: ['ignore', 'inherit', 'inherit'] });
  const [code] = await happened(run('channel.unref()'), 'exit');
  assert.strictEqual(code, 0);
  const kept = run('setTimeout(() => process.exit(7), 1_000).unref()');
  assert.strictEqual((await happened(kept, 'exit'))[0], 7);
});
