'use strict';
// Channel ends that no process was started for: what they can do, and how they are given away.

const assert = require('node:assert');
const fs = require('node:fs');
const net = require('node:net');
const { Worker } = require('node:worker_threads');
const { test } = require('node:test');
const { rsipc, fixture, environment, ENTRY } = require('../helpers/modules.js');
const { leavesNothing, descriptors } = require('../helpers/leavings.js');
const { happened, until, within } = require('../helpers/wait.js');

const { channelPair, ChannelEnd } = rsipc;

leavesNothing();

const mappings = () => fs.readFileSync('/proc/self/maps', 'latin1').split('memfd:rsipc-channel').length - 1;

// Runs `use(a, b)` with a pair, which is closed whatever came of it.
async function withPair(use, options) {
  const [a, b] = channelPair(options);
  try {
    await within(use(a, b), 'the test');
  } finally {
    await Promise.all([a.close(), b.close()]);
  }
}

// Runs `use(one, other)` with two children that wait for channel ends.
async function withSiblings(use, options = {}) {
  const children = [0, 1].map(() => rsipc.fork(fixture('ring/sibling'), [], {
    transport: 'socket', stdio: ['ignore', 'ignore', 'inherit', 'ipc'], env: environment(false), ...options }));
  const ended = children.map((child) => happened(child, 'exit'));
  try {
    await within(use(...children), 'the test');
  } finally {
    for (const child of children) if (child.connected) child.disconnect();
    for (const child of children) child.kill('SIGKILL');
    await Promise.all(ended);
  }
}

const give = (child, task, end) => child.send(task, end, { receipt: true });

for (const serialization of ['json', 'advanced']) {
  for (const transport of ['auto', 'socket', 'ring']) {
    test(`messages go both ways in order, and the pair moves where it may (${serialization}, ${transport})`, () => withPair(async (a, b) => {
      const got = [[], []];
      a.on('message', (message) => got[0].push(message));
      b.on('message', (message) => got[1].push(message));
      const numbers = Array.from({ length: 1500 }, (_, i) => ({ i, text: 'ü'.repeat(i % 300) }));
      for (const number of numbers) {
        a.send(number);
        b.send(number);
        if (number.i % 50 === 0) await new Promise(setImmediate);
      }
      await until(() => got.every((list) => list.length === numbers.length), 'all to arrive');
      assert.deepStrictEqual(got, [numbers, numbers]);
      const expected = transport === 'socket' ? 'socket' : 'ring';
      await until(() => [a, b].every((end) => end.channel.transport === expected), `both to use the ${expected}`);
    }, { serialization, transport }));
  }
}

test('requests, receipts, getOneMessage, callbacks and flushSync work between two ends', () => withPair(async (a, b) => {
  b.onRequest(({ x }, { signal }) => {
    if (x === undefined) throw new TypeError('on purpose');
    return signal.aborted ? null : x * 2;
  });
  assert.strictEqual(await a.request({ x: 21 }), 42);
  await assert.rejects(a.request({}), { name: 'TypeError', message: 'on purpose' });
  await assert.rejects(b.request({ x: 1 }), { code: 'ERR_RSIPC_NO_HANDLER', message: /the other end/ });
  const one = b.getOneMessage({ filter: (message) => message.wanted });
  a.send('not this');
  await a.send({ wanted: true }, undefined, { receipt: true });
  assert.deepStrictEqual(await one, { wanted: true });
  assert.strictEqual(await new Promise((resolve) => a.send('x', resolve)), null);
  assert.deepStrictEqual(a.channel.flushSync(), { messages: 0, bytes: 0 });
}));

test('a request waits for an end that nobody has opened yet', () => withPair(async (a, b) => {
  const asked = a.request('late', { timeout: 30_000 });
  await new Promise(setImmediate);
  b.onRequest((body) => `${body} answered`);
  assert.strictEqual(await asked, 'late answered');
}));

test('sockets and other ends travel between two ends', () => withPair(async (a, b) => {
  const server = net.createServer((socket) => socket.end('hello')).listen(0, '127.0.0.1');
  await happened(server, 'listening');
  const [c, d] = channelPair();
  a.send('server', server);
  a.send('end', d);
  const got = [];
  b.on('message', (message, handle) => got.push([message, handle]));
  await until(() => got.length === 2, 'both');
  assert.ok(got[0][1] instanceof net.Server && got[1][1] instanceof ChannelEnd);
  const end = got[1][1];
  c.send('through it');
  assert.strictEqual(await end.getOneMessage(), 'through it');
  await Promise.all([c.close(), end.close()]);
  got[0][1].close();
  server.close();
}));

test('closing an end writes what was sent, and the other end hears of it behind the last message', () => withPair(async (a, b) => {
  const order = [];
  for (let i = 0; i < 2_000; i++) a.send({ i, text: 'x'.repeat(1_000) });
  const closed = a.close();
  b.on('message', ({ i }) => order.push(i));
  b.on('disconnect', () => order.push('end'));
  await closed;
  await until(() => order.at(-1) === 'end', 'the end');
  assert.strictEqual(order.length, 2_001);
  assert.deepStrictEqual([a.connected, b.connected, a.channel, b.channel], [false, false, null, null]);
  const failed = happened(a, 'error');
  assert.strictEqual(a.send('late'), false);
  assert.strictEqual((await failed)[0].code, 'ERR_IPC_CHANNEL_CLOSED');
}));

test('an end that is closed before its first use is missed by the other one', () => withPair(async (a, b) => {
  const gone = happened(a, 'disconnect');
  await b.close();
  await gone;
}));

test('limits are those of the pair, and what breaks them is a protocolError', () => withPair(async (a, b) => {
  const told = happened(b, 'protocolError');
  b.on('message', () => assert.fail('too large'));
  const gone = happened(a, 'disconnect');
  a.send('x'.repeat(200));
  assert.strictEqual((await told)[0].code, 'ERR_RSIPC_MESSAGE_TOO_LARGE');
  await gone;
}, { maxMessageSize: 100 }));

test('only options that a pair can have are taken', () => {
  assert.throws(() => channelPair({ onProtocolError: 'kill' }), { code: 'ERR_INVALID_ARG_VALUE' });
  assert.throws(() => channelPair({ serialization: 'xml' }), { code: 'ERR_INVALID_ARG_VALUE' });
  assert.throws(() => channelPair({ transport: 'pigeon' }), { code: 'ERR_INVALID_ARG_VALUE' });
  assert.throws(() => channelPair(7), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => new ChannelEnd(), { code: 'ERR_ILLEGAL_CONSTRUCTOR' });
});

test('two children that were given the ends exchange 100,000 messages on a ring of their own', () => withSiblings(async (one, other) => {
  const before = descriptors().size;
  const [a, b] = channelPair({ transport: 'ring' });
  await Promise.all([give(one, { flood: 100_000, ring: true }, a), give(other, { flood: 100_000, ring: true }, b)]);
  assert.deepStrictEqual([a.connected, b.connected], [false, false]);
  assert.strictEqual(descriptors().size, before, 'the parent has kept no end');
  const results = await Promise.all([one.getOneMessage(), other.getOneMessage()]);
  const all = { got: 100_000, ordered: true, transport: 'ring' };
  assert.deepStrictEqual(results, [all, all]);
  assert.strictEqual(mappings(), 0);
}));

test('what was sent to an end before it was given away arrives at its new owner', () => withSiblings(async (one) => {
  const [a, b] = channelPair();
  a.send('first');
  for (let i = 0; i < 1_000; i++) a.send({ i });
  await give(one, { echo: true }, b);
  a.send('last');
  const back = [];
  for await (const message of a.getEachMessage()) {
    back.push(message);
    if (message === 'last') break;
  }
  assert.deepStrictEqual(back, ['first', ...Array.from({ length: 1_000 }, (_, i) => ({ i })), 'last']);
  await a.close();
}));

test('the death of a sibling by SIGKILL is noticed at the other end, behind what it had sent', () => withSiblings(async (one, other) => {
  const [a, b] = channelPair();
  await give(other, { hold: true }, b);
  await give(one, { flood: 300 }, a);
  let got = 0;
  for await (const message of other.getEachMessage()) {
    if (message.gone) break;
    got++;
    if (got === 300) one.kill('SIGKILL');
  }
  assert.strictEqual(got, 300);
}));

test('an end that was used is not given away, and neither is one that is gone', () => withPair(async (a, b) => {
  const [c, d] = channelPair();
  a.send('used');
  const inUse = { code: 'ERR_RSIPC_CHANNEL_END_IN_USE' };
  assert.throws(() => c.send('x', a), inUse);
  assert.throws(() => a.transfer(), inUse);
  assert.throws(() => a.configure({}), inUse);
  assert.throws(() => c.send('x', b, { keepOpen: true }), { code: 'ERR_INVALID_ARG_VALUE' });
  c.send('x', b);
  assert.strictEqual(b.connected, false);
  for (const use of [() => c.send('x', b), () => b.transfer(), () => b.configure({})]) assert.throws(use, { code: 'ERR_RSIPC_CLOSED' });
  const [, end] = await happened(d, 'message');
  assert.strictEqual(await end.getOneMessage(), 'used');
  await Promise.all([c.close(), end.close()]);
}));

test('a peer that is not known to be rsipc gets no end, which stays usable', async () => {
  const child = rsipc.fork(fixture('fork/stay'), [], { transport: 'socket', env: environment(false) });
  const exited = happened(child, 'exit');
  const [a, b] = channelPair();
  assert.throws(() => child.send('here', b), { code: 'ERR_RSIPC_PLAIN_PEER' });
  await assert.rejects(child.send('here', b, { receipt: true, timeout: 300 }), { code: 'ERR_RSIPC_PLAIN_PEER' });
  a.send('still');
  assert.strictEqual(await b.getOneMessage(), 'still');
  await a.close();
  child.disconnect();
  child.kill();
  await exited;
});

test('an end that has arrived has the defaults, until it is configured', () => withPair(async (a, b) => {
  const [c, d] = channelPair({ maxMessageSize: 10 });
  a.send('end', d);
  const [, end] = await happened(b, 'message');
  end.configure({ maxMessageSize: 1_000 });
  c.send('x'.repeat(500));
  assert.strictEqual((await end.getOneMessage()).length, 500);
  const told = happened(end, 'protocolError');
  c.send('x'.repeat(1_500));
  end.on('message', () => {});
  assert.strictEqual((await told)[0].code, 'ERR_RSIPC_MESSAGE_TOO_LARGE');
  await c.close();
}));

test('words that no end was sent with make no end', () => withPair(async (a, b) => {
  const problems = [];
  b.on('handleProblem', ({ reason }) => problems.push(reason));
  const got = [];
  b.on('message', (message, handle) => got.push([message, handle]));
  const file = fs.openSync(__filename);
  const { kLink } = require(`${ENTRY}/../lib/fork/attach.js`);
  const raw = (end) => a[kLink].native.sendHandle(JSON.stringify({ cmd: 'NODE_HANDLE', type: 'fd', msg: 'raw', end }), file, false);
  a.send('first');
  for (const end of [null, 7, {}, { serialization: 'xml', transport: 'auto' }, { serialization: 'json', transport: 'auto', offers: true }]) raw(end);
  await until(() => got.length === 6, 'all to arrive');
  assert.deepStrictEqual(got.slice(1), Array(5).fill(['raw', undefined]));
  assert.deepStrictEqual(problems, Array(5).fill('kind'));
  fs.closeSync(file);
}, { transport: 'socket' }));

const THREAD = `
  const { workerData, parentPort } = require('node:worker_threads');
  const { ChannelEnd } = require(${JSON.stringify(ENTRY)});
  const end = ChannelEnd.from(workerData);
  end.on('message', (message) => { end.send(message); });
  end.on('disconnect', () => parentPort.postMessage(end.connected));
`;

test('a thread gets an end and talks to the thread that has the other one, on the ring', () => withPair(async (a, b) => {
  a.send('before');
  const worker = new Worker(THREAD, { eval: true, workerData: b.transfer() });
  const exited = happened(worker, 'exit');
  assert.strictEqual(b.connected, false);
  assert.strictEqual(await a.getOneMessage(), 'before');
  const got = [];
  a.on('message', (message) => got.push(message));
  for (let i = 0; i < 1_000; i++) {
    a.send({ i });
    if (i % 100 === 0) await new Promise(setImmediate);
  }
  await until(() => got.length === 1_000, 'the echo');
  assert.deepStrictEqual(got, Array.from({ length: 1_000 }, (_, i) => ({ i })));
  await until(() => a.channel.transport === 'ring', 'the move');
  const told = happened(worker, 'message');
  await a.close();
  assert.deepStrictEqual(await told, [false]);
  await exited;
}));

test('a thread of the parent talks to a child directly', () => withSiblings(async (one) => {
  const [a, b] = channelPair();
  await give(one, { echo: true }, b);
  const worker = new Worker(`
    const { workerData, parentPort } = require('node:worker_threads');
    const { ChannelEnd } = require(${JSON.stringify(ENTRY)});
    const end = ChannelEnd.from(workerData);
    (async () => {
      end.send('from a thread');
      parentPort.postMessage(await end.getOneMessage());
      await end.close();
    })();
  `, { eval: true, workerData: a.transfer() });
  const exited = happened(worker, 'exit');
  assert.deepStrictEqual(await happened(worker, 'message'), ['from a thread']);
  await exited;
}));

test('a thread that is terminated is an end that is gone', () => withPair(async (a, b) => {
  const worker = new Worker(THREAD, { eval: true, workerData: b.transfer() });
  a.send('ready?');
  await a.getOneMessage();
  const gone = happened(a, 'disconnect');
  await worker.terminate();
  await gone;
}));

test('what was transferred is taken once, and only by its process', () => withPair(async (a, b) => {
  const transferred = b.transfer();
  const end = ChannelEnd.from(structuredClone(transferred));
  assert.throws(() => ChannelEnd.from(transferred), { code: 'ERR_RSIPC_CLOSED' });
  assert.throws(() => ChannelEnd.from({ ...transferred, pid: 1 }), { code: 'ERR_INVALID_ARG_VALUE' });
  assert.throws(() => ChannelEnd.from({}), { code: 'ERR_INVALID_ARG_VALUE' });
  assert.throws(() => ChannelEnd.from(null), { code: 'ERR_INVALID_ARG_TYPE' });
  a.send('x');
  assert.strictEqual(await end.getOneMessage(), 'x');
  await end.close();
}));

test('an end keeps the process alive while somebody listens or waits for an answer, and not otherwise', async () => {
  const run = async (code) => {
    const child = rsipc.spawn(process.execPath, ['-e', `const [a, b] = require(${JSON.stringify(ENTRY)}).channelPair(); ${code}`], { stdio: ['ignore', 'pipe', 'inherit'], env: environment(false) });
    let out = '';
    child.stdout.on('data', (data) => { out += data; });
    const [status] = await happened(child, 'close');
    return [status, out];
  };
  assert.deepStrictEqual(await run('a.send(1); b.on("error", () => {});'), [0, '']);
  assert.deepStrictEqual(await run('a.on("message", () => {}); a.unref();'), [0, '']);
  assert.deepStrictEqual(await run('a.on("message", console.log); setTimeout(() => { b.send("late"); b.disconnect(); }, 50).unref();'), [0, 'late undefined\n']);
  assert.deepStrictEqual(await run('b.onRequest(() => new Promise((go) => { setTimeout(go, 50, "late").unref(); })); b.unref(); a.request().then(console.log);'), [0, 'late\n']);
});
