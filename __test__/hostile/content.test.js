'use strict';
// Well-formed frames with hostile content: names that are properties of every object, values that
// throw when they are turned into text, replies nobody asked for.

const assert = require('node:assert');
const { once } = require('node:events');
const { test, afterEach } = require('node:test');
const { hostile, release } = require('./peer.js');
const { withBystander } = require('./bystander.js');
const { SERIALIZATIONS, frame, envelope } = require('./frames.js');
const { until, within } = require('./ledger.js');

const NAMES = ['__proto__', 'constructor', 'prototype', 'hasOwnProperty', 'toString', 'valueOf', 'then', 'length', '0', '-1', '', 'Symbol(a)', 'error', 'newListener', 'kPendingMessages'];
// `String()` and `Number()` of this throw, and so does a template with it.
const BOMB = { toString: 1, valueOf: 1 };

let shape;

function shapeOfPrototypes() {
  const roots = [Object.prototype, Array.prototype, Function.prototype, Error.prototype, Map.prototype, require('node:events').prototype];
  return roots.map((root) => Reflect.ownKeys(root).map((key) => {
    const { value, get } = Object.getOwnPropertyDescriptor(root, key);
    return [key, value, get];
  }));
}

withBystander(async () => {
  shape = shapeOfPrototypes();
});

afterEach(() => {
  assert.deepStrictEqual(shapeOfPrototypes(), shape);
  assert.strictEqual({}.polluted, undefined);
});

const asJson = (text) => Buffer.from(`${text}\n`);

test('names of Object.prototype change nothing, in any field that is looked at', async () => {
  const peer = hostile({ onProtocolError: 'drop' });
  const { child } = peer;
  child.on('internalMessage', () => {});
  child.onRequest(() => 'answer');
  const lines = [];
  for (const name of NAMES) {
    const text = JSON.stringify(name);
    const poison = '{"polluted":true}';
    lines.push(
      `{${text}:${poison}}`,
      `{"constructor":{"prototype":${poison}}}`,
      `{"cmd":"NODE_RSIPC","act":${text},"id":${text},${text}:${poison}}`,
      `{"cmd":"NODE_RSIPC","act":"reply","id":${text},"body":${poison}}`,
      `{"cmd":"NODE_RSIPC","act":"receipt","id":${text}}`,
      `{"cmd":"NODE_RSIPC","act":"cancel","id":${text}}`,
      `{"cmd":"NODE_RSIPC","act":"request","id":${text},"body":${poison}}`,
      `{"cmd":"NODE_RSIPC","act":"message","id":${text},"body":${poison},"within":${text}}`,
      `{"cmd":"NODE_SOCKET_GET_COUNT","key":${text}}`,
      `{"cmd":"NODE_SOCKET_NOTIFY_CLOSE","key":${text}}`,
      `{"cmd":"NODE_CLUSTER","act":${text},"seq":${text},"ack":${text},"key":${text}}`,
      `{"cmd":"NODE_${name}",${text}:${poison}}`,
    );
  }
  await peer.send(asJson(lines.join('\n')));
  for (const name of NAMES) {
    for (const type of ['net.Socket', 'dgram.Socket', name]) {
      const kind = type === 'dgram.Socket' ? 'udp' : 'tcp';
      await peer.send(asJson(`{"cmd":"NODE_HANDLE","type":${JSON.stringify(type)},"msg":{"__proto__":{"polluted":true}},"key":${JSON.stringify(name)},"dgramType":${JSON.stringify(name)}}`), { fds: [kind] });
    }
  }
  await peer.send(frame('json', 'last'));
  await until(() => peer.messages.at(-1) === 'last', 'the last message');
  assert.ok(peer.handles.length >= NAMES.length);
  // The payload is the user's: what came as an own key stays one.
  assert.ok(peer.messages.some((message) => Object.hasOwn(message, '__proto__') && message.__proto__.polluted === true));
  await peer.end();
});

for (const serialization of SERIALIZATIONS) {
  test(`values that cannot become text do not end the parent (${serialization})`, async () => {
    const peer = hostile({ serialization, onProtocolError: 'drop' });
    const { child } = peer;
    child.onRequest(() => 'answer');
    const say = (message) => peer.send(frame(serialization, message));

    await say({ cmd: 'NODE_RSIPC', act: 'hello', version: BOMB, reply: true });
    const wrong = [
      { act: 'reply', error: { name: BOMB, message: BOMB, stack: BOMB, code: BOMB } },
      { act: 'reply', error: { thrown: BOMB } },
      { act: 'reply', error: { thrown: 'text' } },
      { act: 'reply', error: BOMB },
      { act: 'reply', error: null },
      { act: 'reply', error: 7 },
    ];
    if (serialization === 'advanced') {
      const circle = {};
      circle.circle = circle;
      wrong.push({ act: 'reply', error: { thrown: 1n } }, { act: 'reply', error: { thrown: circle } }, { act: 'reply', error: new Map([[1n, circle]]) });
    }
    for (const [index, reply] of wrong.entries()) {
      const asked = child.request('question').then(() => assert.fail('answered'), (error) => error);
      await say({ cmd: 'NODE_RSIPC', id: index + 1, ...reply });
      assert.match((await within(asked, `reply ${index}`, 5_000)).code ?? 'none', /^(ERR_RSIPC_REMOTE|none)$/, `reply ${index}`);
    }
    const refusals = [{ refused: BOMB }, { refused: null }, { unheard: BOMB, refused: BOMB }];
    for (const [index, receipt] of refusals.entries()) {
      const sent = child.send('with receipt', undefined, { receipt: true }).then(() => assert.fail('taken'), (error) => error);
      await say({ cmd: 'NODE_RSIPC', act: 'receipt', id: wrong.length + index + 1, ...receipt });
      assert.strictEqual((await within(sent, `receipt ${index}`, 5_000)).code, 'ERR_RSIPC_HANDLE_REJECTED');
    }
    for (const value of [BOMB, [BOMB], null, {}, [], 1e400, -1, 2 ** 53]) {
      await say({ cmd: 'NODE_RSIPC', act: 'message', id: 1, body: 'taken', within: value });
      await say({ cmd: 'NODE_RSIPC', act: 'message', id: value, body: 'taken', within: value });
      await say({ cmd: 'NODE_RSIPC', act: 'request', id: value, body: value });
      await say({ cmd: 'NODE_RSIPC', act: value, id: value });
      await say({ cmd: 'NODE_SOCKET_GET_COUNT', key: value });
      for (const [type, kind] of [['net.Socket', 'tcp'], ['net.Server', 'tcp-listening'], ['dgram.Socket', 'udp'], ['net.Native', 'tcp']]) {
        await peer.send(frame(serialization, { cmd: 'NODE_HANDLE', type, msg: value, key: value, dgramType: value }), { fds: [kind] });
      }
    }
    await say('last');
    await until(() => peer.messages.at(-1) === 'last', 'the last message');
    await peer.end();
  });
}

test('a count that is no number reaches the caller of getConnections and harms nobody else', async () => {
  const net = require('node:net');
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const peer = hostile();
  await peer.do('reading', { on: true, answer: true });
  const client = net.connect(server.address().port, '127.0.0.1');
  const [socket] = await once(server, 'connection');
  peer.child.send('take it', socket);
  await until(async () => (await peer.counted()).handles === 1, 'the handle');
  const key = server._connectionKey;
  const counted = new Promise((resolve) => server.getConnections((error, count) => resolve({ error, count })));
  await peer.send(frame('json', { cmd: 'NODE_SOCKET_COUNT', key: '__proto__', count: 5 }));
  await peer.send(frame('json', { cmd: 'NODE_SOCKET_COUNT', key, count: BOMB }));
  const { error, count } = await within(counted, 'the count', 5_000);
  assert.ok(error instanceof Error || typeof count === 'number' || count === undefined, `got ${typeof count}`);
  await peer.end();
  client.destroy();
  // Node's server never emits 'close' once a process it shared sockets with has gone.
  server.close();
});

test('replies of another peer, second replies and replies to nothing are ignored', async () => {
  const one = hostile();
  const other = hostile();
  const say = (peer, message) => peer.send(frame('json', { cmd: 'NODE_RSIPC', ...message }));
  await say(one, { act: 'hello', version: 1, reply: true });
  await say(other, { act: 'hello', version: 1, reply: true });

  let settled = 0;
  const asked = one.child.request('question');
  asked.then(() => settled++);
  await say(other, { act: 'reply', id: 1, body: 'from the wrong peer' });
  for (const id of [0, -1, 2, 1.5, '1', null, [1]]) await say(one, { act: 'reply', id, body: 'to nothing' });
  assert.strictEqual(settled, 0);
  await say(one, { act: 'reply', id: 1, body: 'right' });
  await say(one, { act: 'reply', id: 1, body: 'again' });
  assert.strictEqual(await asked, 'right');
  assert.strictEqual(settled, 1);
  await Promise.all([one.end(), other.end()]);
  assert.deepStrictEqual([...one.errors, ...other.errors], []);
});

test('requests that are never answered end with their time, and leave nothing', async () => {
  const peer = hostile();
  await peer.do('reading', { on: true, keep: false });
  await peer.send(frame('json', { cmd: 'NODE_RSIPC', act: 'hello', version: 1, reply: true }));
  const asked = await Promise.allSettled(Array.from({ length: 5_000 }, (_, index) => peer.child.request(index, { timeout: 100 })));
  assert.strictEqual(asked.filter(({ reason }) => reason?.code === 'ERR_RSIPC_TIMEOUT').length, 5_000);
  await peer.end();
});

test('more requests than can wait are refused, and all others are settled when the peer goes', async () => {
  const peer = hostile();
  await peer.do('reading', { on: true, keep: false });
  await peer.send(frame('json', { cmd: 'NODE_RSIPC', act: 'hello', version: 1, reply: true }));
  const limit = 65_536;
  const all = Promise.allSettled(Array.from({ length: limit + 10 }, () => peer.child.request(0)));
  setTimeout(() => peer.child.kill('SIGKILL'), 200);
  const codes = new Map();
  for (const { reason } of await all) codes.set(reason.code, (codes.get(reason.code) ?? 0) + 1);
  assert.deepStrictEqual(codes, new Map([['ERR_RSIPC_PEER_GONE', limit], ['ERR_RSIPC_TOO_MANY_REQUESTS', 10]]));
  await peer.end();
});

test('acknowledgements nobody waits for are an error', async () => {
  for (const cmd of ['NODE_HANDLE_ACK', 'NODE_HANDLE_NACK']) {
    const peer = hostile();
    await peer.send(frame('json', { cmd }));
    await peer.end();
    assert.deepStrictEqual(peer.errors.map((error) => error.code), ['ERR_RSIPC_UNEXPECTED_ACK']);
  }
});

const KEY = 'k'.repeat(1_000);
const FLOODS = {
  ...Object.fromEntries(['hello', 'request', 'message'].map((act) => [act, { cmd: 'NODE_RSIPC', act, id: 1, version: 1, body: null, within: 1 }])),
  NODE_SOCKET_GET_COUNT: { cmd: 'NODE_SOCKET_GET_COUNT', key: KEY },
  NODE_SOCKET_NOTIFY_CLOSE: { cmd: 'NODE_SOCKET_NOTIFY_CLOSE', key: KEY },
};

for (const [name, message] of Object.entries(FLOODS)) {
  test(`a flood of '${name}' from a peer that never reads does not fill the parent`, async () => {
    const peer = hostile();
    const { child } = peer;
    const total = 200_000;
    // Questions about sockets are answered to whom has sent one, and it is closed here.
    await peer.send(envelope('json', 'net.Socket', 'a socket', { key: KEY }), { fds: ['unix-stream'] });
    await until(() => peer.handles.length === 1, 'the socket');
    const closed = once(peer.handles[0], 'close');
    release(peer.handles.pop());
    await closed;
    let most = 0;
    const watch = setInterval(() => { most = Math.max(most, child.channel?.queued.bytes ?? 0); }, 1);
    const one = frame('json', message);
    let sent = false;
    const flood = peer.send(Buffer.concat(Array(1_000).fill(one)), { times: total / 1_000 }).then(() => { sent = true; });
    // Either all of it was read, or the parent has stopped reading and the peer stands.
    let standing = 0;
    let before = -1;
    while (!sent && standing < 50) {
      standing = before === child.channel.queued.messages ? standing + 1 : 0;
      before = child.channel.queued.messages;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    clearInterval(watch);
    most = Math.max(most, child.channel.queued.bytes);
    assert.ok(most < 6 * 1024 * 1024, `${most} bytes of replies were queued`);
    assert.strictEqual(peer.errors.length, 0);
    // A peer that writes and never reads has only itself to stop it.
    if (!sent) child.kill('SIGKILL');
    await flood;
    if (child.connected) {
      await peer.do('reading', { on: true, keep: false });
      await until(() => !child.connected || child.channel.queued.bytes === 0, 'the replies to be taken');
    }
    await peer.end();
  });
}

test('questions that come together are answered twice: what is true at the first of them, and at the last', async () => {
  const peer = hostile();
  const key = '4:127.0.0.1:1';
  await peer.do('reading', { on: true });
  const ask = frame('json', { cmd: 'NODE_SOCKET_GET_COUNT', key });
  const count = async (text) => (await peer.received()).data.toString().split('\n').filter((line) => line === text).length;
  await peer.send(envelope('json', 'net.Socket', 'a socket', { key }), { fds: ['unix-stream'] });
  await peer.send(Buffer.concat(Array(100).fill(ask)));
  await until(async () => await count(`{"cmd":"NODE_SOCKET_COUNT","key":"${key}","count":1}`) === 2, 'two answers');
  release(peer.handles.pop());
  await until(async () => {
    await peer.send(ask);
    return await count(`{"cmd":"NODE_SOCKET_COUNT","key":"${key}","count":0}`) > 0;
  }, 'an answer that knows of the closed socket');
  await peer.end();
});

test('no error carries a part of a payload', async () => {
  const canary = 'c4n4ry-5ecret';
  const peer = hostile({ onProtocolError: 'drop', frameTimeout: 100, maxMessageSize: 200 });
  await peer.send(`{"${canary}":\n`);
  await peer.send(`"${canary.repeat(30)}"\n`);
  await peer.send(`{"cmd":"NODE_HANDLE","type":"${canary}"}\n`);
  await peer.send(`{"cmd":"NODE_HANDLE_ACK","x":"${canary}"}\n`);
  await peer.send(`["${canary}`);
  await until(() => peer.errors.some((error) => error.code === 'ERR_RSIPC_FRAME_TIMEOUT'), 'the last error');
  await peer.end();
  assert.ok(peer.errors.length >= 5);
  for (const error of peer.errors) assert.ok(!`${error.stack}${require('node:util').inspect(error)}`.includes(canary));
});
