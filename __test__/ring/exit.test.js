'use strict';
// What was accepted before a child ends arrives through shared memory as it does through the socket.

const assert = require('node:assert');
const { test } = require('node:test');
const { rsipc, fixture, environment } = require('../helpers/modules.js');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, text } = require('../helpers/wait.js');

leavesNothing();

// Everything a parent gets of a child that ends at once, and in which order it is told.
async function receive(args, { stderr = 'inherit', slow = false, serialization = 'json' } = {}) {
  const child = rsipc.fork(fixture('ring/shared'), ['lifecycle/send-and-exit.js', ...args], {
    transport: 'ring', serialization, stdio: ['ignore', 'ignore', stderr, 'ipc'], env: environment(false),
  });
  const said = stderr === 'pipe' ? text(child.stderr) : '';
  const got = { count: 0, characters: 0, ordered: true, last: undefined, ends: [] };
  child.on('message', (message) => {
    got.ordered &&= message.i === got.count && got.ends.length === 0;
    got.count++;
    got.characters += message.text.length;
    got.last = message.text.length < 100 ? message.text : '';
    const until = performance.now() + (slow ? 1 : 0);
    while (performance.now() < until);
  });
  for (const end of ['disconnect', 'exit']) child.on(end, () => got.ends.push(end));
  const [code] = await happened(child, 'close');
  return { ...got, code, said: await said };
}

for (const serialization of ['json', 'advanced']) {
  for (const [count, size] of [[1, 1_000], [5, 400_000], [20_000, 10], [100, 100_000], [10, 10_000_000]]) {
    test(`${count} messages of ${size} characters before process.exit() arrive, then the end (${serialization})`, async () => {
      const { count: arrived, characters, ordered, code, ends } = await receive([count, size, 'exit'], { serialization });
      assert.deepStrictEqual({ arrived, characters, ordered, code, ends }, { arrived: count, characters: count * size, ordered: true, code: 0, ends: ['disconnect', 'exit'] });
    });
  }
}

test('a slow reader gets what a child has left in the ring before the child\'s end', async () => {
  const { count, ordered, ends } = await receive([300, 3_000, 'exit'], { slow: true });
  assert.deepStrictEqual({ count, ordered, ends }, { count: 300, ordered: true, ends: ['disconnect', 'exit'] });
});

for (const [how, code, more] of [['throw', 1, 0], ['reject', 1, 0], ['handler', 5, 1], ['exit listener', 0, 1], ['exit listeners', 0, 20], ['disconnect', 0, 0]]) {
  test(`what was sent before an end by '${how}' arrives`, async () => {
    const got = await receive([2_000, 1_000, how], { stderr: 'pipe' });
    assert.deepStrictEqual({ count: got.count, code: got.code, ends: got.ends }, { count: 2_000 + (how === 'exit listeners' ? 20 : more), code, ends: ['disconnect', 'exit'] });
    assert.doesNotMatch(got.said, /not delivered/);
  });
}

test('a parent that disconnects with much in its queue still delivers it', async () => {
  const child = rsipc.fork(fixture('ring/shared'), ['ring/count.js'], { transport: 'ring', stdio: ['ignore', 'pipe', 'inherit', 'ipc'], env: environment(false) });
  const said = text(child.stdout);
  await happened(child, 'message');
  for (let i = 0; i < 200; i++) child.send({ i, text: 'x'.repeat(100_000) });
  child.disconnect();
  await happened(child, 'exit');
  assert.strictEqual(await said, '200 in order');
});

// The parent spins, so that it has read the answer, and is gone, before the child's `send` returns.
test('a child whose parent disconnects at its answer has not failed to send it', async () => {
  for (let i = 0; i < 10; i++) {
    const child = rsipc.fork(fixture('ring/answer'), { transport: 'ring', spin: 500, env: environment(false) });
    let answers = 0;
    child.on('message', () => {
      if (++answers < 5) child.send('again');
      else child.disconnect();
    });
    child.send('first');
    const [code] = await happened(child, 'exit');
    assert.deepStrictEqual([code, answers], [0, 5]);
  }
});
