'use strict';
// A handle that the other end did not get is sent again, byte for byte as Node would. The other end is a
// script on the bare descriptor.

const assert = require('node:assert');
const net = require('node:net');
const { parity, beyond } = require('../helpers/parity.js');
const { leavesNothing } = require('../helpers/leavings.js');
const { rawPeer } = require('../helpers/raw.js');
const { listening, closed, connection, HOST } = require('../helpers/handles.js');
const { happened, text, until } = require('../helpers/wait.js');

leavesNothing();

async function socket() {
  const server = await listening(net.createServer({ pauseOnConnect: true }), 0, HOST);
  const far = net.connect(server.address().port, HOST);
  far.on('error', () => {});
  const near = await connection(server, far);
  return { near, done: async () => {
    far.destroy();
    server.close();
  } };
}

async function frames(scene, child, sends) {
  const said = text(child.stdout);
  await sends();
  child.disconnect();
  for (const frame of JSON.parse(await said)) scene.note(frame.replace(/"key":"[^"]*"/g, '"key":"…"'));
  await scene.ended(child);
}

parity('frames with and without handles are written as Node writes them', async (scene) => {
  const child = rawPeer(scene, 'ACK');
  const { near, done } = await socket();
  const server = await listening(net.createServer(), 0, HOST);
  await frames(scene, child, async () => {
    child.send({ plain: 1, text: 'ä\n\u2028', nothing: null });
    await new Promise((resolve) => child.send({ with: 'socket' }, near, resolve));
    await new Promise((resolve) => child.send('server', server, resolve));
    await new Promise((resolve) => child.send(['native'], server._handle, resolve));
    await new Promise((resolve) => child.send('last', resolve));
  });
  await closed(server);
  await done();
}, { ends: 'parent' });

// Node wraps a retransmission once more, and a Node receiver then answers it twice, which ends the
// sender. Ours is the same frame again, answered once; what was sent behind it does not wait.
beyond('a socket that was lost three times is sent a fourth time, and then arrives', async (scene) => {
  const child = rawPeer(scene, 'NACK', 'NACK', 'NACK', 'ACK');
  const { near, done } = await socket();
  await frames(scene, child, async () => {
    child.send({ about: 'socket' }, near);
    await new Promise((resolve) => child.send('behind it', resolve));
  });
  await done();
  const frame = '{"cmd":"NODE_HANDLE","type":"net.Socket","msg":{"about":"socket"},"key":"…"}';
  assert.deepStrictEqual(scene.trace.filter((line) => line !== '"behind it"'), [frame, frame, frame, frame]);
  assert.strictEqual(scene.trace.length, 5);
}, { child: 'plain' });

parity('after four losses a warning says that the handle did not arrive', async (scene) => {
  const child = rawPeer(scene, 'NACK');
  const { near, done } = await socket();
  const warned = happened(process, 'warning');
  const said = text(child.stdout);
  child.send({ about: 'socket' }, near);
  const [warning] = await warned;
  scene.note(warning.name, warning.message);
  await new Promise((resolve) => child.send('still works', resolve));
  child.disconnect();
  const seen = JSON.parse(await said);
  scene.note(seen.length, seen.at(-1));
  await scene.ended(child);
  await done();
}, { ends: 'parent' });

beyond('the callback of a handle that is sent again is called once', async (scene) => {
  const child = rawPeer(scene, 'NACK', 'NACK', 'ACK');
  const { near, done } = await socket();
  let calls = 0;
  await new Promise((resolve) => {
    child.send({ about: 'socket' }, near, () => calls++);
    child.send('behind it', resolve);
  });
  child.stdout.resume();
  child.disconnect();
  await scene.ended(child);
  assert.strictEqual(calls, 1);
  await done();
}, { child: 'plain' });

beyond('a peer that never answers for a handle is told of by handleTimeout', async (scene) => {
  const child = scene.spawn('sh', ['-c', 'unset NODE_CHANNEL_FD NODE_OPTIONS; exec cat >/dev/null <&4'], { stdio: ['ignore', 'ignore', 'inherit', 'ipc', 'pipe'], handleTimeout: 30 });
  const { near, done } = await socket();
  const told = happened(child, 'handleTimeout');
  child.send('handle', near);
  assert.deepStrictEqual(await told, [{ unacknowledged: 1, timeout: 30 }]);
  child.kill('SIGKILL');
  await happened(child, 'disconnect');
  await done();
}, { child: 'plain' });

beyond('the sender\'s copy of a handle is closed when its peer dies without an answer', async (scene) => {
  const child = rawPeer(scene, 'never');
  const { near, done } = await socket();
  const ended = happened(child, 'exit');
  child.stdout.resume();
  await new Promise((resolve) => child.send('handle', near, resolve));
  child.kill('SIGKILL');
  await ended;
  await until(() => child.channel === null, 'the channel to end');
  await done();
}, { child: 'plain' });
