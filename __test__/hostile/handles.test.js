'use strict';
// Descriptors nobody asked for, of every kind and in every state: closed or handed over, never a
// crash, never a leak.

const assert = require('node:assert');
const fs = require('node:fs');
const { test } = require('node:test');
const rsipc = require('../../index.js');
const { hostile, release } = require('./peer.js');
const { withBystander } = require('./bystander.js');
const { SERIALIZATIONS, frame, envelope } = require('./frames.js');
const { settles, until, within, ECHO } = require('./ledger.js');

const TYPES = ['net.Socket', 'net.Server', 'net.Native', 'dgram.Socket', 'dgram.Native', 'net.BoundSocket'];
const FITTING = { 'net.Socket': ['pipe', 'unix-stream', 'tcp'], 'dgram.Socket': ['udp'] };
// A living peer's channel, stdin and stdout.
const PIPES = 3;
let kinds;

const around = withBystander(async () => {
  // The first socket of each kind makes Node load what it needs.
  const warm = hostile();
  for (const [type, kind] of [['net.Socket', 'tcp'], ['net.Socket', 'unix-stream'], ['dgram.Socket', 'udp']]) await warm.send(envelope('json', type, 'warm'), { fds: [kind] });
  await until(() => warm.handles.length === 3, 'the first handles');
  ({ kinds } = await warm.do('kinds'));
  await warm.end();
});

test('this system can make every kind of descriptor the next tests are about', () => {
  if (process.platform === 'linux') assert.strictEqual(kinds.length, 14);
  else assert.ok(kinds.length >= 8, kinds.join());
});

for (const serialization of SERIALIZATIONS) {
  test(`descriptors of every kind that come with plain data are closed, and the data arrives (${serialization})`, async () => {
    const peer = hostile({ serialization });
    for (const kind of kinds) {
      await peer.send(frame(serialization, kind), { fds: [kind] });
    }
    await until(() => peer.messages.length === kinds.length, 'all messages');
    assert.deepStrictEqual(peer.messages, kinds);
    assert.strictEqual(peer.child.channel !== null && peer.handles.length, 0);
    await settles(around.open, PIPES);
    await peer.end();
  });

  test(`a descriptor that does not fit its handle type is closed and named, and its message arrives (${serialization})`, async () => {
    const peer = hostile({ serialization, onProtocolError: 'drop' });
    for (const [type, fitting] of Object.entries(FITTING)) {
      for (const kind of kinds) {
        const before = { messages: peer.messages.length, handles: peer.handles.length, problems: peer.problems.length };
        await peer.send(envelope(serialization, type, kind), { fds: [kind] });
        await until(() => peer.messages.length > before.messages, `${kind} as ${type}`);
        assert.strictEqual(peer.messages.at(-1), kind);
        const fits = fitting.includes(kind);
        assert.strictEqual(peer.handles.length - before.handles, fits ? 1 : 0, `${kind} as ${type}`);
        assert.deepStrictEqual(peer.problems.slice(before.problems).map(({ reason }) => reason), fits ? [] : ['kind'], `${kind} as ${type}`);
      }
    }
    await peer.end();
  });

  test(`a handle type nobody knows is an error, whatever came with it (${serialization})`, async () => {
    const unknown = 'ERR_RSIPC_UNKNOWN_HANDLE_TYPE';
    const dropping = hostile({ serialization, onProtocolError: 'drop' });
    for (const kind of kinds) {
      const before = dropping.errors.length;
      await dropping.send(envelope(serialization, 'net.Unknown', kind), { fds: [kind] });
      await until(() => dropping.errors.length > before, `an error for ${kind}`);
    }
    assert.deepStrictEqual(dropping.errors.map((error) => error.code), kinds.map(() => unknown));
    assert.deepStrictEqual(dropping.handles, []);
    await dropping.end();
    for (const kind of kinds) {
      const peer = hostile({ serialization, onProtocolError: 'disconnect' });
      await peer.send(envelope(serialization, 'net.Unknown', kind), { fds: [kind] });
      await until(() => peer.errors.length > 0, 'an error');
      assert.deepStrictEqual(peer.errors.map((error) => error.code), [unknown]);
      assert.deepStrictEqual(peer.handles, []);
      await peer.end();
    }
  });
}

const STATES = ['tcp', 'tcp-listening', 'tcp-fresh', 'tcp-reset', 'udp', 'udp-fresh', 'unix-stream', 'unix-fresh', 'pipe', 'null'];

test('a socket in the wrong state for its type harms nobody who listens for its errors', async () => {
  for (const type of TYPES) {
    const peer = hostile({ onProtocolError: 'drop' });
    for (const kind of [...STATES, 'channel']) {
      await peer.send(envelope('json', type, kind, { key: '4:127.0.0.1:0', dgramType: 'udp4' }), { fds: [kind] });
    }
    await until(() => peer.messages.length === STATES.length + 1, `all as ${type}`);
    assert.deepStrictEqual(peer.messages, [...STATES, 'channel']);
    await around.witness.check();
    await peer.end();
  }
});

test('a socket that breaks before anybody listens for messages does not end the process', async () => {
  const peer = hostile({ onProtocolError: 'drop', record: false });
  for (const type of TYPES) {
    for (const kind of STATES) await peer.send(envelope('json', type, kind), { fds: [kind] });
  }
  await peer.do('settle');
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  const handles = [];
  const all = new Promise((resolve) => {
    let count = 0;
    peer.child.on('message', (message, handle) => {
      if (handle !== undefined) handles.push(handle);
      if (++count === TYPES.length * STATES.length) resolve();
    });
  });
  await within(all, 'all messages');
  assert.ok(handles.length > STATES.length);
  for (const handle of handles) release(handle);
  await peer.end();
});

test('handles that nobody has taken when the channel ends are closed', async () => {
  const peer = hostile({ record: false });
  await peer.send(envelope('json', 'net.Socket', 'never taken'), { fds: ['unix-stream'], times: 50 });
  await peer.do('settle');
  await peer.end();
  await settles(around.open);
});

test('ten thousand messages with descriptors nobody asked for leave as many open as before', async () => {
  const peer = hostile();
  await peer.do('reading', { on: true, keep: false });
  let count = 0;
  for (const [fds, times] of [[1, 4_000], [2, 3_000], [7, 1_500], [60, 1_000], [253, 500]]) {
    await peer.send(frame('json', { fds }), { fds: Array(fds).fill('unix-stream'), times });
    count += times;
  }
  await until(() => peer.messages.length === count, 'all messages');
  assert.strictEqual(count, 10_000);
  assert.strictEqual(peer.child.channel.fd > 0, true);
  assert.deepStrictEqual(peer.handles, []);
  await settles(around.open, PIPES);
  await peer.end();
});

test('handles of types that are not accepted are closed, told and answered', async () => {
  const times = 2_000;
  const peer = hostile({ acceptHandles: [] });
  await peer.do('reading', { on: true });
  await peer.send(envelope('json', 'net.Socket', 'refused'), { fds: ['tcp'], times });
  await until(() => peer.messages.length === times, 'all messages');
  assert.deepStrictEqual(peer.handles, []);
  assert.strictEqual(peer.problems.length, times);
  assert.ok(peer.problems.every(({ reason }) => reason === 'refused'));
  await settles(around.open, PIPES);
  const { data } = await peer.received();
  assert.strictEqual(data.toString().split('\n').filter((line) => line === '{"cmd":"NODE_HANDLE_ACK"}').length, times);
  await peer.end();
});

test('handles without descriptors are refused once each, and the message still comes', async () => {
  const peer = hostile();
  await peer.do('reading', { on: true });
  await peer.send(envelope('json', 'net.Server', 'bare'), { times: 100 });
  await until(() => peer.messages.length === 100, 'all messages');
  assert.ok(peer.problems.every(({ reason }) => reason === 'lost'));
  const { data } = await peer.received();
  assert.strictEqual(data.toString().split('\n').filter((line) => line === '{"cmd":"NODE_HANDLE_NACK"}').length, 100);
  await peer.end();
});

test('more descriptors than frames: each handle has its own, and the rest are closed', async () => {
  const peer = hostile();
  const frames = Buffer.concat([1, 2, 3].map((number) => envelope('json', 'net.Socket', number)));
  await peer.send(frames, { fds: Array(20).fill('tcp') });
  await until(() => peer.messages.length === 3, 'the messages');
  assert.strictEqual(peer.handles.length, 3);
  for (const handle of peer.handles.splice(0)) release(handle);
  await settles(around.open, PIPES);
  await peer.end();
});

test('handles that arrive before anybody listens are bounded, and all come when somebody does', async () => {
  const times = 5_000;
  const peer = hostile({ record: false });
  await peer.do('reading', { on: true, keep: false });
  const sent = peer.send(envelope('json', 'net.Socket', 'early'), { fds: ['unix-stream'], times });
  let most = 0;
  const watch = setInterval(() => { most = Math.max(most, fs.readdirSync('/dev/fd').length - around.open.size); }, 5);
  await Promise.race([sent, new Promise((resolve) => setTimeout(resolve, 3_000))]);
  clearInterval(watch);
  let taken = 0;
  peer.child.on('message', (message, handle) => {
    taken++;
    release(handle);
  });
  await until(() => taken === times, 'all handles');
  await sent;
  await peer.end();
  assert.ok(most <= 2_048, `${most} descriptors were held for a listener that was not there`);
});

test('sockets under ever new keys leave no trace of the keys', async () => {
  const peer = hostile();
  const listeners = peer.child.listenerCount('internalMessage');
  for (let key = 0; key < 2_000; key++) await peer.send(envelope('json', 'net.Socket', key, { key: `4:127.0.0.1:${key}` }), { fds: ['unix-stream'] });
  await until(() => peer.messages.length === 2_000, 'all messages');
  for (const handle of peer.handles.splice(0)) release(handle);
  await settles(around.open, PIPES);
  assert.ok(peer.child.listenerCount('internalMessage') - listeners <= 2, `${peer.child.listenerCount('internalMessage')} listeners`);
  await peer.end();
});

test('a plain Node child is never sent a descriptor it would abort on', async () => {
  const child = rsipc.fork(ECHO, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], transport: 'socket' });
  const exited = new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
  const echoed = new Promise((resolve) => child.once('message', resolve));
  const fd = fs.openSync(__filename);
  const wrapped = new rsipc.Fd(fd);
  assert.throws(() => child.send('file', wrapped), { code: 'ERR_RSIPC_PLAIN_PEER' });
  await assert.rejects(child.send('file', wrapped, { receipt: true, timeout: 200 }), { code: 'ERR_RSIPC_PLAIN_PEER' });
  for (const handle of [{}, { fd }, process.stdin, fs.createReadStream(null, { fd, autoClose: false })]) {
    // stdin may be a pipe or socket, which may be sent; what is neither is refused here.
    if (handle === process.stdin && !['TTY', 'FileReadStream', 'ReadStream'].includes(handle.constructor.name)) continue;
    assert.throws(() => child.send('no handle', handle), { code: 'ERR_INVALID_HANDLE_TYPE' });
  }
  wrapped.close();
  fs.closeSync(fd);
  child.send('alive');
  assert.strictEqual(await echoed, 'alive');
  child.disconnect();
  assert.deepStrictEqual(await exited, { code: 0, signal: null });
});
