'use strict';
// Shared objects as handles over the fork channel.

const assert = require('node:assert');
const { test } = require('node:test');
const { unique, bells } = require('../helpers/shared.js');
const { rsipc, fixture, environment } = require('../helpers/modules.js');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, within } = require('../helpers/wait.js');

const { Ring, SharedMemory, Cell } = rsipc;
Ring.create({ capacity: 4_096 }).close();
leavesNothing();

for (const serialization of ['json', 'advanced']) {
  async function withTaker(use, options = {}) {
    const child = rsipc.fork(fixture('shared/taker'), [], { serialization, env: environment(true), ...options });
    const exited = happened(child, 'exit');
    try {
      await within(use(child), 'the test');
    } finally {
      if (child.connected) child.disconnect();
      await exited;
    }
  }

  for (const named of [false, true]) {
    const name = () => named ? { name: unique() } : {};
    const done = (object) => {
      object.unlink();
      object.close();
    };

    test(`objects ${named ? 'with' : 'without'} a name arrive as what they are (${serialization})`, () => withTaker(async (child) => {
      const ring = Ring.create({ capacity: 4_096, ...name() });
      const consumer = ring.consumer();
      await child.send('ring', ring, { receipt: true });
      assert.strictEqual(String(await consumer.read()), `ring ${ring.name}`);
      const memory = SharedMemory.create({ size: 100, ...name() });
      const [words] = [memory.buffer];
      await child.send('memory', memory, { receipt: true });
      assert.strictEqual(words.toString('utf8', 0, 6), 'memory');
      const cell = Cell.create({ capacity: 100, ...name() });
      const next = cell.next();
      child.send('cell', cell);
      assert.strictEqual(String(await next), `cell ${cell.name}`);
      for (const object of [ring, memory, cell]) done(object);
    }));
  }

  test(`a handle is shared, not given away, and comes back as another attachment (${serialization})`, () => withTaker(async (child) => {
    const cell = Cell.create({ capacity: 100 });
    cell.set('here');
    const back = happened(child, 'message');
    await child.send('echo', cell, { receipt: true });
    const [, handle] = await back;
    assert.ok(handle instanceof Cell && handle !== cell);
    assert.strictEqual(String(handle.get()), 'here');
    cell.close();
    assert.strictEqual(String(handle.get()), 'here');
    handle.close();
  }));

  test(`what cannot be sent is refused before anything is (${serialization})`, () => withTaker(async (child) => {
    await child.request('known');
    const cell = Cell.create({ capacity: 100, name: unique() });
    cell.unlink();
    assert.throws(() => child.send('unlinked', cell), { code: 'ERR_INVALID_HANDLE_TYPE' });
    cell.close();
    assert.throws(() => child.send('closed', cell), { code: 'ERR_RSIPC_CLOSED' });
  }));

  test(`an object whose name was taken away, or now is another's, does not arrive (${serialization})`, () => withTaker(async (child) => {
    await child.request('known');
    const first = Cell.create({ capacity: 100, name: unique() });
    const same = Cell.open(first.name);
    same.unlink();
    await assert.rejects(child.send('gone', first, { receipt: true }), { code: 'ERR_RSIPC_HANDLE_REJECTED' });
    const second = Cell.create({ capacity: 50, name: first.name });
    await assert.rejects(child.send('another', first, { receipt: true }), { code: 'ERR_RSIPC_HANDLE_REJECTED' });
    second.unlink();
    for (const object of [first, same, second]) object.close();
  }));

  test(`a plain peer is never sent one, and acceptHandles knows it as 'fd' (${serialization})`, async () => {
    const child = rsipc.fork(fixture('fork/stay'), [], { serialization, env: environment(false) });
    const cell = Cell.create({ capacity: 100 });
    assert.throws(() => child.send('x', cell), { code: 'ERR_RSIPC_PLAIN_PEER' });
    cell.close();
    const exited = happened(child, 'exit');
    child.kill();
    await exited;
    await withTaker(async (taker) => {
      const problem = happened(taker, 'handleProblem');
      const mine = Cell.create({ capacity: 100 });
      await taker.send('echo', mine, { receipt: true });
      assert.strictEqual((await problem)[0].reason, 'refused');
      mine.close();
    }, { acceptHandles: [] });
  });
}

test('a descriptor that only says it is an object is closed, and its message comes with a problem', async () => {
  const child = rsipc.fork(fixture('shared/forger'), [], { env: environment(true) });
  const exited = happened(child, 'exit');
  const problems = [];
  child.on('handleProblem', ({ reason, message }) => problems.push(`${message} ${reason}`));
  const messages = [];
  child.on('message', (message, handle) => {
    if (message !== 'hello') messages.push([message, handle?.constructor.name]);
  });
  await exited;
  assert.deepStrictEqual(problems, messages.map(([message]) => `${message} kind`));
  assert.ok(messages.length >= 8 && messages.every(([, handle]) => handle === undefined), JSON.stringify(messages));
  assert.ok(bells().length <= 1);
});
