'use strict';
// Messages that come before anybody listens are kept for the first who does.

const assert = require('node:assert');
const { parity, beyond } = require('../helpers/parity.js');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, barrier, until } = require('../helpers/wait.js');

leavesNothing();

// A child that has sent `count` messages, all of which are here and not taken.
async function withEarly(scene, count) {
  const child = scene.fork('fork/say-then-tell', [String(count)], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
  await happened(child.stdout, 'data');
  await barrier();
  return child;
}

parity('early messages of the child are given to the first listener, in order', async (scene) => {
  const child = await withEarly(scene, 3);
  scene.record(child);
  scene.note('listening');
  process.nextTick(() => scene.note('tick'));
  await happened(child, 'message');
  await barrier();
  child.disconnect();
  await happened(child, 'exit');
});

parity('a listener for something else does not release them', async (scene) => {
  const child = await withEarly(scene, 2);
  child.on('unrelated', () => {});
  await barrier();
  scene.note('nothing yet');
  child.on('message', (message) => scene.note(message));
  await happened(child, 'message');
  await barrier();
  child.disconnect();
  await happened(child, 'exit');
});

// Under Node `once` costs all but the first.
beyond('once takes one and leaves the others for the next listener', async (scene) => {
  const child = await withEarly(scene, 3);
  assert.deepStrictEqual(await happened(child, 'message'), [1, undefined]);
  await barrier();
  assert.deepStrictEqual(await happened(child, 'message'), [2, undefined]);
  await barrier();
  assert.deepStrictEqual(await happened(child, 'message'), [3, undefined]);
  child.disconnect();
  await happened(child, 'exit');
});

// Under Node they are lost.
beyond('they outlive the channel and are given to the first listener, in order', async (scene) => {
  const child = scene.fork('fork/say', ['3']);
  await happened(child, 'exit');
  await barrier();
  const got = [];
  child.on('message', ({ n }) => got.push(n));
  await until(() => got.length === 3, 'all early messages');
  assert.deepStrictEqual([got, child.connected], [[1, 2, 3], false]);
});

parity('early messages of the parent wait for the child\'s listener', async (scene) => {
  const child = scene.fork('fork/late-listener', ['4'], { stdio: ['pipe', 'ignore', 'inherit', 'ipc'] });
  for (const message of ['a', { b: 1 }, null, 4]) child.send(message);
  await barrier();
  child.stdin.end('listen');
  const [got] = await happened(child, 'message');
  scene.note(got);
  await happened(child, 'exit');
});
