'use strict';
// A child that becomes rsipc in the middle of its traffic: nothing is lost, nothing comes twice, everything keeps its
// order, and the program goes on as it would have.

const assert = require('node:assert');
const net = require('node:net');
const { test } = require('node:test');
const { leavesNothing } = require('../helpers/leavings.js');
const { rsipc, fixture, environment } = require('../helpers/modules.js');
const { listening, readAll } = require('../helpers/handles.js');
const { withChild } = require('../helpers/with-child.js');
const { happened, until, barrier } = require('../helpers/wait.js');

leavesNothing();

// RSIPC_TEST_SWITCHES: how often each kind of traffic is switched, for a long run.
const TIMES = Number(process.env.RSIPC_TEST_SWITCHES ?? 2);
const MESSAGES = 5_000;
const HOST = '127.0.0.1';
const linkOf = (child) => child[Symbol.for('rsipc.channel')];
const quiet = { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] };

// A child that is asked when the test says so, and not before.
function forkUnasked(program, args, options) {
  const child = rsipc.fork(fixture(program), args, { transport: 'auto', ...quiet, env: environment(false), ...options });
  linkOf(child).watched = false;
  return child;
}

const greet = (child) => linkOf(child).peer.greet();
const known = (child) => until(() => linkOf(child).peer.known, 'the child to be upgraded');

async function switchInTraffic(serialization, pace, at) {
  const child = forkUnasked('fork/traffic', [MESSAGES, pace], { serialization });
  const exited = happened(child, 'exit');
  const here = { next: 0, wrong: null, called: 0, failed: null };
  let there = null;
  child.on('message', (message) => {
    if (message.seen) {
      there = message.seen;
      return;
    }
    if (message.number !== here.next) here.wrong ??= `${message.number} instead of ${here.next}`;
    here.next++;
  });
  await happened(child, 'message');
  for (let number = 0; number < MESSAGES; number++) {
    if (number === at) greet(child);
    const below = child.send({ number, filling: 'ö'.repeat(number % 300 === 0 ? 100_000 : (number * 104_729) % 300) }, (error) => {
      if (error) here.failed ??= String(error);
      here.called++;
    });
    if (!below) await child.channel.ready();
    else if (number % 97 === 0) await new Promise(setImmediate);
  }
  child.send({ over: true });
  assert.deepStrictEqual(await exited, [0, null]);
  const expected = { next: MESSAGES, wrong: null, called: MESSAGES, failed: null };
  assert.deepStrictEqual(here, expected);
  const { upgraded, ...rest } = there;
  assert.deepStrictEqual(rest, expected);
  return upgraded;
}

for (const serialization of ['json', 'advanced']) {
  for (const pace of ['tick', 'timer']) {
    test(`no message is lost, doubled or overtaken when a child is upgraded in heavy traffic (${serialization}, ${pace})`, async (t) => {
      let upgraded = 0;
      for (let time = 0; time < TIMES; time++) {
        const at = Math.floor(Math.random() * MESSAGES * 0.8);
        upgraded += Number(await switchInTraffic(serialization, pace, at).catch((error) => {
          error.message += `\n(asked at message ${at})`;
          throw error;
        }));
      }
      t.diagnostic(`${upgraded} of ${TIMES} were upgraded before their traffic ended`);
      assert.ok(upgraded > 0);
    });
  }

  test(`a message that Node has half of arrives whole, and so does what follows it (${serialization})`, () => withChild(async (child) => {
    linkOf(child).watched = false;
    const large = serialization === 'json' ? 'ü€😀'.repeat(1_500_000) : { large: Buffer.alloc(10_000_000, 'x') };
    for (const message of ['before', large, 'after']) {
      if (message === large) greet(child);
      child.send(message);
    }
    for (const message of ['before', large, 'after']) {
      assert.deepStrictEqual((await happened(child, 'message'))[0], message);
    }
    assert.strictEqual(linkOf(child).peer.known, true);
  }, { program: 'fork/echo', serialization }));

  test(`messages that nobody has heard yet are kept for the first listener, in order (${serialization})`, async () => {
    const child = forkUnasked('fork/deaf-then-listens', [], { serialization });
    const exited = happened(child, 'exit');
    await happened(child, 'message');
    for (let number = 0; number < 50; number++) child.send(number);
    greet(child);
    for (let number = 50; number < 100; number++) child.send(number);
    await known(child);
    const heard = [];
    child.on('message', (number) => heard.push(number));
    child.kill('SIGUSR2');
    await until(() => heard.length >= 100, 'all messages to come back');
    assert.deepStrictEqual(heard, Array.from({ length: 100 }, (_, number) => number));
    child.disconnect();
    assert.deepStrictEqual(await exited, [0, null]);
  });

  test(`handles in both directions keep their messages and their order (${serialization})`, async () => {
    const child = forkUnasked('fork/gives-sockets', [], { serialization });
    const exited = happened(child, 'exit');
    const [{ port }] = await happened(child, 'message');
    const server = await listening(net.createServer({ pauseOnConnect: true }), 0, HOST);
    const accepted = [];
    server.on('connection', (socket) => accepted.push(socket));
    const dialled = Array.from({ length: 30 }, () => net.connect(server.address().port, HOST));
    await until(() => accepted.length === dialled.length, 'the connections');

    const got = [];
    const plain = [];
    child.on('message', (message, socket) => {
      if (message.plain !== undefined) {
        plain.push(message);
      } else if (message.number !== undefined) {
        assert.strictEqual(message.number, got.length);
        got.push(socket);
        socket.end(`number ${message.number}`);
      }
    });
    const texts = dialled.map((socket) => readAll(socket));
    const others = Array.from({ length: 30 }, () => readAll(net.connect(port, HOST)));
    // Each socket is followed by a message without one; in the midst of them the child is asked.
    const at = Math.floor(Math.random() * 30);
    for (const [index, socket] of accepted.entries()) {
      if (index === at) greet(child);
      child.send({ number: 2 * index }, socket);
      await new Promise(setImmediate);
      child.send({ number: 2 * index + 1 });
    }
    assert.deepStrictEqual((await Promise.all(texts)).map((text) => Number(text.split(' ')[0])), accepted.map((_, index) => 2 * index));
    assert.deepStrictEqual((await Promise.all(others)).sort(), Array.from({ length: 30 }, (_, number) => `number ${number}`).sort());
    await until(() => plain.length === 30, 'the messages without a socket');
    assert.deepStrictEqual(plain.map((message) => message.plain), accepted.map((_, index) => 2 * index + 1));
    await known(child);
    child.send('over');
    assert.deepStrictEqual(await exited, [0, null]);
    server.close();
  });
}

test('connections that were given away before and after are counted together', async () => {
  const child = forkUnasked('fork/gives-sockets', []);
  const exited = happened(child, 'exit');
  const [{ port }] = await happened(child, 'message');
  const got = [];
  child.on('message', (message, socket) => {
    if (socket) got.push(socket);
  });
  const dial = async () => {
    const count = got.length;
    const socket = net.connect(port, HOST);
    await until(() => got.length > count, 'the connection');
    return socket;
  };
  const count = async () => {
    child.send('how many?');
    for (;;) {
      const [message] = await happened(child, 'message');
      if (message.count !== undefined) return message.count;
    }
  };
  const dialled = [await dial(), await dial()];
  assert.strictEqual(await count(), 2);
  greet(child);
  await known(child);
  assert.strictEqual(await count(), 2);
  dialled.push(await dial());
  assert.strictEqual(await count(), 3);
  got[0].destroy();
  got[2].destroy();
  await until(async () => await count() === 1, 'the count to go down');
  child.send('over');
  await barrier();
  assert.strictEqual(child.exitCode, null); // one is open still
  got[1].destroy();
  assert.deepStrictEqual(await exited, [0, null]);
  for (const socket of dialled) socket.destroy();
});

test('connections that a child was given before and after are counted together', () => withChild(async (child) => {
  linkOf(child).watched = false;
  const server = await listening(net.createServer(), 0, HOST);
  server.on('connection', (socket) => child.send('take it', socket));
  const count = () => new Promise((resolve, reject) => { server.getConnections((error, number) => (error ? reject(error) : resolve(number))); });
  const dial = async () => {
    const socket = net.connect(server.address().port, HOST);
    await happened(child, 'message');
    return socket.resume();
  };
  const dialled = [await dial(), await dial()];
  assert.strictEqual(await count(), 2);
  greet(child);
  await known(child);
  assert.strictEqual(await count(), 2);
  dialled.push(await dial());
  assert.strictEqual(await count(), 3);
  let closed = false;
  server.close(() => { closed = true; });
  for (const socket of dialled) {
    assert.strictEqual(closed, false);
    child.send('end one');
    await happened(socket, 'close');
  }
  await until(() => closed, 'the server to close');
}, { program: 'fork/hold-sockets' }));

for (const [what, ending] of Object.entries({ disconnect: [0, null], exit: [7, null], both: [7, null] })) {
  test(`a child may ${what === 'both' ? 'disconnect and exit' : what} at the very moment when it is asked`, async () => {
    const child = forkUnasked('fork/when-greeted', [what]);
    const exited = happened(child, 'exit');
    const heard = [];
    child.on('message', (message) => heard.push(message));
    for (let number = 0; number < 10; number++) child.send(number);
    greet(child);
    assert.deepStrictEqual(await exited, ending);
    const last = what === 'disconnect' ? ['last'] : [];
    assert.deepStrictEqual(heard.filter((message) => message !== 'last' || last.length > 0), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...last]);
  });
}

test('a child may disconnect while it waits for a write to end', async () => {
  const child = forkUnasked('fork/when-greeted', ['write and disconnect']);
  const exited = happened(child, 'exit');
  const sizes = [];
  child.on('message', (message) => sizes.push(message.length));
  greet(child);
  assert.deepStrictEqual(await exited, [0, null]);
  // Node itself drops what the kernel has not taken by then.
  assert.ok([0, 1, 2].includes(sizes.length), `${sizes}`);
});

test('a child may give a handle while it waits for a write to end', async () => {
  const child = forkUnasked('fork/when-greeted', ['write and give']);
  const exited = happened(child, 'exit');
  const heard = [];
  child.on('message', (message, handle) => {
    heard.push([message.length, handle?.constructor.name]);
    handle?.close();
  });
  greet(child);
  await known(child);
  await until(() => heard.length === 4, 'the messages');
  assert.deepStrictEqual(heard, [[3_000_000, undefined], [13, undefined], [8, 'Server'], [9, undefined]]);
  child.disconnect();
  assert.deepStrictEqual(await exited, [0, null]);
});

test('a listener that throws when the child is asked does not keep it from being upgraded', () => withChild(async (child) => {
  linkOf(child).watched = false;
  const heard = [];
  child.on('message', (message) => heard.push(message));
  child.send('before');
  greet(child);
  child.send('after');
  await known(child);
  await until(() => heard.length === 3, 'the messages');
  assert.deepStrictEqual([...heard].sort(), ['after', 'before', 'thrown on purpose']);
}, { program: 'fork/when-greeted', args: ['throw'], transport: 'auto' }));

for (const [reasons, stays] of [[[], false], [['disconnect'], true], [['ref'], true]]) {
  test(`a child that has let its messages go ${stays ? 'stays' : 'leaves'} with ${reasons[0] ?? 'no other reason'}`, async () => {
    const child = forkUnasked('fork/reasons', reasons);
    const exited = happened(child, 'exit');
    child.send('x');
    await happened(child, 'message');
    greet(child);
    await known(child);
    child.send('go');
    await happened(child, 'message');
    if (stays) {
      await barrier();
      assert.strictEqual(child.exitCode, null);
      child.disconnect();
    }
    assert.deepStrictEqual(await exited, [0, null]);
  });
}

test('a child that let its channel go leaves although it listens', async () => {
  const child = forkUnasked('fork/reasons', ['unref']);
  const exited = happened(child, 'exit');
  greet(child);
  assert.deepStrictEqual(await exited, [0, null]);
});

test('a message that is too large and too deep for the defaults is none for a program that has not asked for them', () => withChild(async (child) => {
  await happened(child, 'message');
  greet(child);
  await known(child);
  let deep = 'x';
  for (let level = 0; level < 600; level++) deep = [deep];
  child.send({ deep });
  const length = 70 * 1024 * 1024;
  child.send('y'.repeat(length));
  child.send('how many?');
  assert.deepStrictEqual(await happened(child, 'message'), [2, undefined]);
}, { program: 'fork/count', maxDepth: 1_000 }));
