'use strict';
// What a channel can do, through shared memory.

const assert = require('node:assert');
const fs = require('node:fs');
const net = require('node:net');
const { Worker } = require('node:worker_threads');
const { test } = require('node:test');
const { rsipc, fixture, environment, ENTRY } = require('../helpers/modules.js');
const { leavesNothing, descriptors } = require('../helpers/leavings.js');
const { happened, until, within } = require('../helpers/wait.js');

leavesNothing();

const mappings = () => fs.readFileSync('/proc/self/maps', 'latin1').split('memfd:rsipc-channel').length - 1;

// Runs `use(child)` with a child whose channel has left the socket.
async function withRing(use, { program = 'ring/echo.js', args = [], environment: more, ...options } = {}) {
  const child = rsipc.fork(fixture('ring/shared'), [program, ...args], { transport: 'ring', stdio: ['ignore', 'ignore', 'inherit', 'ipc'], env: environment(false, more), ...options });
  const exited = happened(child, 'exit');
  try {
    await within(use(child, exited), 'the test');
  } finally {
    if (child.connected) child.disconnect();
    await exited;
  }
}

for (const serialization of ['json', 'advanced']) {
  test(`both ends say that they send through shared memory (${serialization})`, () => withRing(async (child) => {
    const [{ transport }] = await happened(child, 'message');
    assert.deepStrictEqual([transport, child.channel.transport], ['ring', 'ring']);
  }, { serialization }));

  test(`requests, their errors, receipts and getOneMessage work through shared memory (${serialization})`, () => withRing(async (child) => {
    await child.getOneMessage();
    const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => child.request({ i, text: 'x'.repeat(i * 10) })));
    assert.deepStrictEqual(answers.map(({ i }) => i), Array.from({ length: 200 }, (_, i) => i));
    await assert.rejects(child.request({ what: 'fail' }), { name: 'TypeError', message: 'on purpose' });
    const echoed = child.getOneMessage({ filter: (message) => message.receipt === true });
    await child.send({ receipt: true }, undefined, { receipt: true });
    assert.deepStrictEqual(await echoed, { receipt: true });
  }, { serialization }));

  test(`handles go there and back in their places (${serialization})`, () => withRing(async (child) => {
    await child.getOneMessage();
    const got = [];
    child.on('message', (message, handle) => {
      got.push([message, handle instanceof net.Server]);
      handle?.close();
    });
    const server = net.createServer().listen(0, '127.0.0.1');
    await happened(server, 'listening');
    for (let i = 0; i < 60; i++) {
      if (i % 3 === 0) child.send(i, server);
      else child.send(i);
    }
    await until(() => got.length === 60, 'all to come back');
    assert.deepStrictEqual(got, Array.from({ length: 60 }, (_, i) => [i, i % 3 === 0]));
    server.close();
  }, { serialization }));

  test(`threads of a child send while its main thread does, each in its order (${serialization})`, () => withRing(async (child, exited) => {
    const next = [0, 0, 0, 0];
    const done = new Promise((resolve) => {
      child.on('message', (message) => {
        if (message.done) return resolve();
        assert.strictEqual(message.i, next[message.thread]++);
        return assert.strictEqual(message.pad.length, message.i % 300);
      });
    });
    await Promise.race([done, exited]);
    assert.deepStrictEqual(next, [2_000, 2_000, 2_000, 2_000]);
  }, { serialization, program: 'ring/threads.js', args: [3, 2_000] }));
}

test('callbacks come once each, in order, and only when their message is written', () => withRing(async (child) => {
  await child.getOneMessage();
  const called = [];
  const total = 2_000;
  for (let i = 0; i < total; i++) {
    const text = i % 100 === 0 ? 'x'.repeat(100_000) : 'x';
    if (i % 3 === 0) child.send({ i, text });
    else child.send({ i, text }, (error) => called.push(error ?? i));
    if (i % 500 === 0) await new Promise(setImmediate);
  }
  const expected = Array.from({ length: total }, (_, i) => i).filter((i) => i % 3 !== 0);
  await until(() => called.length >= expected.length, 'the callbacks');
  await child.request('behind them');
  assert.deepStrictEqual(called, expected);
  assert.deepStrictEqual(child.channel.queued, { bytes: 0, messages: 0 });
}));

test('send answers false above the mark, and ready() and \'drain\' tell when there is room', () => withRing(async (child) => {
  await child.getOneMessage();
  child.kill('SIGSTOP');
  let sent = 0;
  while (child.send({ sent, text: 'x'.repeat(10_000) })) sent++;
  assert.ok(sent > 10 && sent < 2_000, `${sent} messages were accepted`);
  assert.ok(child.channel.queued.bytes >= 131_072);
  const drained = happened(child.channel, 'drain');
  child.kill('SIGCONT');
  await child.channel.ready();
  await drained;
  await child.request('behind them');
}));

test('an end that sleeps takes no processor time', () => withRing(async (child) => {
  await child.getOneMessage();
  for (let i = 0; i < 100; i++) await child.request(i);
  const theirs = child.request({ what: 'idle' });
  await new Promise((resolve) => setTimeout(resolve, 100));
  const before = process.cpuUsage();
  await new Promise((resolve) => setTimeout(resolve, 400));
  const { user, system } = process.cpuUsage(before);
  assert.ok((user + system) / 1e3 < 50, `the parent took ${(user + system) / 1e3} ms`);
  const took = await theirs;
  assert.ok(took < 50, `the child took ${took} ms`);
}));

test('what was sent before a long computation in the same tick arrives during it', () => withRing(async (child) => {
  await child.getOneMessage();
  const late = [];
  child.on('message', ({ at }) => late.push(Date.now() - at));
  const end = await child.request({ what: 'busy' });
  assert.strictEqual(late.length, 100);
  assert.ok(Math.max(...late) < 200, `the last came ${Math.max(...late)} ms after it was sent`);
  assert.ok(end > 0);
}));

test('texts of every kind and length keep their places in one tick', () => withRing(async (child) => {
  await child.getOneMessage();
  const characters = ['a', '"\\n', 'é', 'ÿ', 'Ā', '€', '😀', '\ud800', '\u2028', '\0'];
  const sent = [];
  for (const length of [0, 1, 20, 300, 5_000, 40_000]) {
    for (const character of characters) sent.push({ text: character.repeat(length) }, 'é', `${length}${character}`);
  }
  const got = [];
  child.on('message', (message) => got.push(message));
  for (const message of sent) child.send(message);
  await until(() => got.length === sent.length, 'all to come back');
  assert.deepStrictEqual(got, JSON.parse(JSON.stringify(sent)));
}));

test('memory that a child offers, or that is offered twice, is closed and changes nothing', () => withRing(async (child) => {
  await child.getOneMessage();
  const before = descriptors().size;
  assert.strictEqual(await child.request({ what: 'offer' }), 'offered');
  await child.request('behind it');
  await until(() => descriptors().size <= before, 'what was offered to be closed');
  const theirs = await child.request({ what: 'descriptors' });
  const number = fs.openSync('/dev/null', 'r');
  const file = new rsipc.Fd(number);
  fs.closeSync(number);
  for (const part of [1, 0, 0, 1, 2, undefined]) child.send({ cmd: 'NODE_RSIPC', act: 'lanes', part }, file, { keepOpen: true });
  assert.strictEqual(await child.request('still here'), 'still here');
  assert.ok(await child.request({ what: 'descriptors' }) <= theirs);
  file.close();
}));

test('a child that may not leave the socket stays there, and works', async () => {
  const child = rsipc.fork(fixture('ring/echo'), [], { transport: 'ring', stdio: ['ignore', 'ignore', 'inherit', 'ipc'], env: environment(false, { RSIPC_TRANSPORT: 'socket' }) });
  const exited = happened(child, 'exit');
  child.on('error', () => {}); // that it cannot
  await child.getOneMessage();
  assert.strictEqual(await child.request('here'), 'here');
  assert.strictEqual(child.channel.transport, 'socket');
  const theirs = await child.request({ what: 'mappings' });
  assert.strictEqual(theirs, 0);
  child.disconnect();
  await exited;
});

test('mappings and descriptors are gone with the channel, however it ends', async () => {
  const [maps, fds] = [mappings(), descriptors().size];
  for (const end of [(child) => child.disconnect(), (child) => child.kill('SIGKILL'), (child) => child.send('x', () => child.kill())]) {
    const children = await Promise.all(Array.from({ length: 4 }, async () => {
      const child = rsipc.fork(fixture('ring/shared'), ['ring/echo.js'], { transport: 'ring', stdio: ['ignore', 'ignore', 'inherit', 'ipc'], env: environment(false) });
      await child.getOneMessage();
      return child;
    }));
    assert.strictEqual(mappings() - maps, 8);
    await until(() => descriptors().size <= fds + 4, 'the files of the memory to be closed'); // the sockets stay
    assert.deepStrictEqual(await Promise.all(children.map((child) => child.request({ what: 'mappings' }))), [2, 2, 2, 2]);
    const exits = children.map((child) => happened(child, 'exit'));
    for (const child of children) end(child);
    await Promise.all(exits);
    await until(() => mappings() === maps && descriptors().size <= fds, 'all to be given back');
  }
});

test('mappings are gone with a terminated thread that had children', async () => {
  const maps = mappings();
  const worker = new Worker(`
    const { workerData, parentPort } = require('node:worker_threads');
    const { fork } = require(workerData.entry);
    const child = fork(workerData.program, ['ring/echo.js'], { transport: 'ring', stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    child.on('message', () => {
      for (let i = 0; i < 1000; i++) child.send({ i, text: 'x'.repeat(1000) });
      parentPort.postMessage(child.channel.transport);
    });
  `, { eval: true, workerData: { entry: ENTRY, program: fixture('ring/shared') }, env: environment(false) });
  const [transport] = await happened(worker, 'message');
  assert.strictEqual(transport, 'ring');
  assert.ok(mappings() > maps);
  await worker.terminate();
  await until(() => mappings() === maps, 'the memory to be given back');
});

// Blocks this thread until the process is dead, with all its threads, and its descriptors are closed: no turn of the
// loop can tell of it.
function died(pid) {
  const end = Date.now() + 30_000;
  for (;;) {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
    if (/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2)) && fs.readdirSync(`/proc/${pid}/task`).length === 1) return;
    assert.ok(Date.now() < end, 'it lives');
  }
}

for (const transport of ['ring', 'socket']) {
  test(`a send to a child that is dead fails, before the end of the channel was read (${transport})`, async () => {
    const child = rsipc.fork(fixture('ring/echo'), [], { transport, stdio: ['ignore', 'ignore', 'inherit', 'ipc'], env: environment(true) });
    const exited = happened(child, 'exit');
    await child.getOneMessage();
    await until(() => child.channel.transport === transport, `to use the ${transport}`);
    child.kill('SIGKILL');
    died(child.pid);
    const failed = new Promise((resolve) => child.send('late', resolve));
    child.on('error', () => {});
    child.send('later');
    assert.strictEqual((await failed).code, 'EPIPE');
    await exited;
  });
}

test("a child that is rsipc and shares no memory is told to who demands it, and the channel goes on", async () => {
  const child = rsipc.fork(fixture('fork/ours'), [], { transport: 'ring', env: environment(true, { RSIPC_TRANSPORT: 'socket' }) });
  const exited = happened(child, 'exit');
  const [error] = await happened(child, 'error');
  assert.strictEqual(error.code, 'ERR_RSIPC_NO_RING');
  assert.deepStrictEqual([child.connected, child.channel.transport], [true, 'socket']);
  child.disconnect();
  await exited;

  const [a, b] = rsipc.channelPair({ transport: 'ring' });
  b.configure({ transport: 'socket' }).on('message', () => {});
  a.send('x');
  assert.strictEqual((await happened(a, 'error'))[0].code, 'ERR_RSIPC_NO_RING');
  await Promise.all([a.close(), b.close()]);
});

test('an end that refuses the descriptors of an offer is told as one that shares no memory', async () => {
  const [a, b] = rsipc.channelPair({ transport: 'ring' });
  b.configure({ transport: 'auto', acceptHandles: [] }).on('message', () => {});
  a.send('x');
  assert.strictEqual((await happened(a, 'error'))[0].code, 'ERR_RSIPC_NO_RING');
  a.send('y');
  assert.strictEqual(a.channel.transport, 'socket');
  await Promise.all([a.close(), b.close()]);
});

// Messages of exactly `bytes` bytes as JSON, of many kinds.
function messagesOf(bytes) {
  const fill = (value, room) => {
    const message = value(room);
    const length = Buffer.byteLength(JSON.stringify(message));
    return length === bytes ? [message] : fill(value, room + bytes - length);
  };
  const kinds = [
    (room) => ({ text: 'x'.repeat(room) }),
    (room) => ({ number: -0.125, none: null, text: `ü\u0000"${'x'.repeat(room)}` }),
    (room) => [1, -2, true, 'x'.repeat(room)],
    (room) => ({ a: { b: { c: [{ d: 'x'.repeat(room) }] } }, list: Array(8).fill({ same: 'short', other: 1e300 }) }),
  ];
  return kinds.flatMap((kind) => fill(kind, 1));
}

for (const transport of ['ring', 'socket']) {
  test(`maxMessageSize holds to the byte, for each of the messages of a tick (${transport})`, async () => {
    for (const limit of [1_500, 20_000, 200_000]) {
      const [a, b] = rsipc.channelPair({ transport, maxMessageSize: limit, onProtocolError: 'drop' });
      const got = [];
      let refused = 0;
      b.on('message', (message) => got.push(message));
      b.on('protocolError', ({ code }) => {
        assert.strictEqual(code, 'ERR_RSIPC_MESSAGE_TOO_LARGE');
        refused++;
      });
      a.send('first');
      await until(() => [a, b].every((end) => end.channel.transport === transport), `to use the ${transport}`);
      const sent = [];
      // So many of the same kinds that they are encoded, and travel together.
      for (let round = 0; round < 30; round++) {
        for (let i = 0; i < 10; i++) for (const message of messagesOf(500)) sent.push(message);
        sent.push(...messagesOf(limit), ...messagesOf(limit + 1), ...messagesOf(limit - 1));
      }
      for (const message of sent) a.send(message);
      a.send('last');
      await until(() => got.at(-1) === 'last', 'all to arrive');
      const fits = sent.filter((message) => Buffer.byteLength(JSON.stringify(message)) <= limit);
      assert.deepStrictEqual(got.slice(1, -1), fits);
      assert.ok(refused > 0);
      await Promise.all([a.close(), b.close()]);
    }
  });
}
