'use strict';
// Peers that stop, crawl or flood: memory stays bounded, nothing is lost or doubled when they go on,
// and the loop keeps turning.

const assert = require('node:assert');
const { once } = require('node:events');
const net = require('node:net');
const path = require('node:path');
const { test } = require('node:test');
const rsipc = require('../../index.js');
const { hostile } = require('./peer.js');
const { withBystander } = require('./bystander.js');
const { SERIALIZATIONS, frame, envelope } = require('./frames.js');
const { settles, until, within } = require('./ledger.js');

const MIB = 1024 * 1024;
const PIPES = 3;
const fixture = (name) => path.join(__dirname, 'fixtures', name);

const around = withBystander();

const lines = (bytes) => bytes.toString().split('\n').filter((line) => line !== '').map((line) => JSON.parse(line));

for (const serialization of SERIALIZATIONS) {
  test(`a sender that minds the answer of send keeps its memory when the reader stops (${serialization})`, async () => {
    const highWaterMark = 256 * 1024;
    const peer = hostile({ serialization, highWaterMark });
    const { child } = peer;
    await peer.do('reading', { on: false });
    const chunk = 'x'.repeat(16 * 1024);
    const total = 2_000;
    let sent = 0;
    let most = 0;
    const pump = async () => {
      while (sent < total) {
        const more = child.send([sent++, chunk]);
        most = Math.max(most, child.channel.queued.bytes);
        if (!more) await child.channel.ready();
      }
    };
    const base = process.memoryUsage.rss();
    const done = pump();
    await until(() => child.channel.queued.bytes >= highWaterMark, 'the mark');
    child.kill('SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, 200));
    const stopped = sent;
    // The mark and what fits into the kernel.
    assert.ok(stopped * chunk.length < 8 * MIB, `${stopped} of ${total} were accepted`);
    assert.ok(most < highWaterMark + 2 * chunk.length, `${most} bytes were queued`);
    assert.ok(process.memoryUsage.rss() - base < 64 * MIB);
    child.kill('SIGCONT');
    await peer.do('reading', { on: true });
    await within(done, 'the rest to be sent');
    await child.channel.ready();
    await until(() => child.channel.queued.bytes === 0, 'an empty queue');
    await until(async () => (await peer.counted()).bytes >= total * chunk.length, 'everything to be read');
    const { data } = await peer.received();
    if (serialization === 'json') assert.deepStrictEqual(lines(data).map(([number]) => number), Array.from({ length: total }, (_, index) => index));
    await peer.end();
  });
}

test('ten thousand handles to a stopped reader are bounded in the kernel, and go on when it does', async () => {
  const total = 10_000;
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const peer = hostile();
    await peer.do('reading', { on: false });
    peer.child.kill('SIGSTOP');
    let called = 0;
    const errors = [];
    for (let number = 0; number < total; number++) {
      peer.child.send(number, server, (error) => {
        called++;
        if (error !== null) errors.push(error);
      });
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
    // As in Node, the first callback says that it is written; the others wait for the answers before theirs.
    assert.ok(called <= errors.length + 1, `${called} callbacks for a stopped peer`);
    peer.child.kill('SIGCONT');
    await peer.do('reading', { on: true, answer: true, keep: false });
    await until(() => called === total, 'all callbacks');
    const received = await peer.counted();
    // Whatever this process could not open is told; the rest has arrived, each once.
    assert.strictEqual(received.handles, total - errors.length);
    assert.strictEqual(received.fds, total - errors.length);
    for (const error of errors) assert.match(error.code, /^(EMFILE|ENFILE|ETOOMANYREFS)$/);
    await peer.end();
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});

test('a reader that takes a few bytes at a time gets each descriptor exactly once', async () => {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    for (const most of [1, 7, 4_093]) {
      const total = most === 4_093 ? 60 : 5;
      const size = most === 4_093 ? 30_000 : 100 * most;
      const peer = hostile();
      await peer.do('reading', { on: true, most, answer: true, keep: true });
      for (let number = 0; number < total; number++) {
        peer.child.send({ number, fill: 'y'.repeat(number * size % 100_003) }, server);
        peer.child.send(`plain ${number}`);
      }
      await until(async () => (await peer.counted()).lines === 2 * total, 'all frames', 60_000);
      const received = await peer.received();
      assert.strictEqual(received.fds, total);
      const order = lines(received.data).map((message) => (message.cmd === 'NODE_HANDLE' ? message.msg.number : Number(message.split(' ')[1])));
      assert.deepStrictEqual(order, Array.from({ length: 2 * total }, (_, index) => index >> 1));
      await peer.end();
    }
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});

test('a handle that is never answered is told after its time, and what follows is still written', async () => {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const peer = hostile({ handleTimeout: 150 });
    await peer.do('reading', { on: true });
    peer.child.send('first', server);
    for (let number = 0; number < 1_000; number++) peer.child.send(number);
    await until(() => peer.timeouts.length > 0, 'the timeout');
    assert.deepStrictEqual(peer.timeouts[0], { unacknowledged: 1, timeout: 150 });
    await until(async () => (await peer.counted()).lines === 1_001, 'the messages behind the handle');
    await peer.end();
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});

test('two peers that only flush, 100 MB each way, do not lock each other', async () => {
  const child = rsipc.fork(fixture('flusher.js'), [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const exited = once(child, 'exit');
  const { flush, expect } = require('./fixtures/flusher.js');
  const received = expect(child);
  await once(child, 'spawn');
  flush(child);
  assert.strictEqual(await within(received, 'the other half', 60_000), 'complete');
  const [code] = await exited;
  assert.strictEqual(code, 0);
});

test('a flood does not keep the loop from turning: between two turns there is a bounded number of messages', async () => {
  const peer = hostile({ record: false });
  let inTurn = 0;
  let most = 0;
  let turns = 0;
  let total = 0;
  let running = true;
  const turn = () => {
    most = Math.max(most, inTurn);
    inTurn = 0;
    turns++;
    if (running) setImmediate(turn);
  };
  peer.child.on('message', () => {
    inTurn++;
    total++;
  });
  turn();
  const line = frame('json', 'flood');
  const count = 200_000;
  await peer.send(Buffer.concat(Array(1_000).fill(line)), { times: count / 1_000 });
  await until(() => total === count, 'the flood to pass');
  running = false;
  await peer.end();
  assert.ok(most * line.length <= MIB, `${most} messages in one turn of ${turns}`);
});

test('a peer that floods handles and never reads the answers is not read for ever', async () => {
  const peer = hostile({ acceptHandles: [] });
  const flood = peer.send(envelope('json', 'net.Socket', 'x'.repeat(100)), { fds: ['unix-stream'], times: 200_000 });
  let most = 0;
  const watch = setInterval(() => { most = Math.max(most, peer.child.channel?.queued.bytes ?? 0); }, 1);
  await Promise.race([flood, new Promise((resolve) => setTimeout(resolve, 2_000))]);
  clearInterval(watch);
  assert.ok(most < MIB, `${most} bytes were queued`);
  peer.child.kill('SIGKILL');
  await peer.end();
  await settles(around.open);
});

test('messages that come before anybody listens are bounded in bytes, and all are there when somebody does', async () => {
  const limit = 4 * MIB;
  const peer = hostile({ record: false, maxEarlyBytes: limit });
  const text = 'e'.repeat(1_000);
  const total = 20_000;
  const base = process.memoryUsage.rss();
  const sent = peer.send(frame('json', text), { times: total });
  await Promise.race([sent, new Promise((resolve) => setTimeout(resolve, 1_000))]);
  assert.ok(process.memoryUsage.rss() - base < 48 * MIB);
  let count = 0;
  peer.child.on('message', () => count++);
  await until(() => count === total, 'all messages');
  await sent;
  await settles(around.open, PIPES);
  await peer.end();
});
