'use strict';
// disconnect(), and what `connected` and `channel` show before, during and after.

const assert = require('node:assert');
const { test } = require('node:test');
const { parity } = require('../helpers/parity.js');
const { leavesNothing } = require('../helpers/leavings.js');
const { rsipc, fixture, environment } = require('../helpers/modules.js');
const { happened, barrier, text } = require('../helpers/wait.js');

leavesNothing();

const look = (child) => [child.connected, child.channel === null ? 'null' : typeof child.channel];

parity('connected and channel change as Node changes them', async (scene) => {
  const child = scene.fork('fork/ready');
  scene.note('forked', look(child));
  await happened(child, 'message');
  child.on('disconnect', () => scene.note('in disconnect', look(child)));
  child.disconnect();
  scene.note('after disconnect()', look(child));
  process.nextTick(() => scene.note('a tick later', look(child)));
  await happened(child, 'disconnect');
  await happened(child, 'exit');
  scene.note('after exit', look(child));
});

parity('disconnect() is done in the next tick', async (scene) => {
  const child = scene.record(scene.fork('fork/ready'));
  await happened(child, 'message');
  process.nextTick(() => scene.note('tick before'));
  child.disconnect();
  scene.note('returned');
  process.nextTick(() => scene.note('tick after'));
  Promise.resolve().then(() => scene.note('promise'));
  await happened(child, 'exit');
  await barrier();
});

parity('a second disconnect() is an error event, emitted at once', async (scene) => {
  const child = scene.record(scene.fork('fork/ready'));
  await happened(child, 'message');
  child.disconnect();
  scene.note('again');
  child.disconnect();
  scene.note('returned');
  await happened(child, 'exit');
  child.disconnect();
  await barrier();
});

parity('an error event nobody listens for is thrown by disconnect()', async (scene) => {
  const child = scene.fork('fork/ready');
  await happened(child, 'message');
  child.disconnect();
  try {
    child.disconnect();
    scene.note('did not throw');
  } catch (error) {
    scene.note('threw', error);
  }
  await happened(child, 'exit');
});

parity('disconnect() returns undefined', async (scene) => {
  const child = scene.fork('fork/ready');
  await happened(child, 'message');
  scene.note(child.disconnect());
  await happened(child, 'exit');
});

parity('what was sent before disconnect() arrives', async (scene) => {
  const child = scene.record(scene.fork('fork/say', ['2']));
  await happened(child, 'close');
  const other = scene.fork('fork/throwing-listener');
  other.send(1);
  other.send('end');
  const [got] = await happened(other, 'message');
  scene.note(got);
  await happened(other, 'exit');
});

parity('a child sees its channel go as Node shows it', async (scene) => {
  const child = scene.fork('fork/states', [], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
  const said = text(child.stdout);
  await happened(child, 'exit');
  scene.note(await said);
});

parity('a child without a channel shows none', async (scene) => {
  const child = scene.spawn(process.execPath, [fixture('fork/states')], { stdio: ['ignore', 'pipe', 'inherit'] });
  scene.note(child.connected, child.channel, typeof child.send, typeof child.disconnect);
  const said = text(child.stdout);
  await happened(child, 'close');
  scene.note(await said);
});

parity('disconnect() in the listener of the last message leaves nothing undone', async (scene) => {
  const child = scene.record(scene.fork('fork/echo'));
  child.once('message', () => child.disconnect());
  child.send('x');
  await happened(child, 'exit');
  await barrier();
});

// The kernel calls it an error of the connection, and libuv an error of the poll, before all is read.
for (const transport of ['socket', 'auto']) {
  test(`a child reads all that a parent sent that closed without reading all (${transport})`, async () => {
    const child = rsipc.fork(fixture('fork/reads-late'), [], { transport, stdio: ['ignore', 'pipe', 'inherit', 'ipc'], env: environment(false) });
    child[Symbol.for('rsipc.channel')].hold('this test', true);
    await happened(child.stdout, 'data');
    for (let i = 0; i < 3_000; i++) child.send('x'.repeat(400));
    child.disconnect();
    assert.strictEqual(await text(child.stdout), 'received 3000\n');
  });
}
