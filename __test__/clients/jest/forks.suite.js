'use strict';

// A test that itself forks: a channel inside a worker that is at the end of another channel.

const { fork, spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');

const ECHO = path.join(__dirname, 'echo.js');

async function exchange(child, messages) {
  const answers = [];
  const all = new Promise((resolve) => {
    child.on('message', (message) => {
      answers.push(message);
      if (answers.length === messages.length) resolve();
    });
  });
  for (const message of messages) child.send(message);
  await all;
  return answers;
}

test('a forked child answers in order', async () => {
  const child = fork(ECHO);
  const exit = once(child, 'exit');
  const messages = Array.from({ length: 500 }, (unused, n) => ({ n, text: 'é'.repeat(n) }));
  expect(await exchange(child, messages)).toEqual(messages);
  child.disconnect();
  expect(await exit).toEqual([0, null]);
});

test('a child with advanced serialization answers with the same types', async () => {
  const child = fork(ECHO, { serialization: 'advanced' });
  const exit = once(child, 'exit');
  const [answer] = await exchange(child, [{ map: new Map([[1, 2n]]), bytes: new Uint8Array([1, 2, 3]) }]);
  // The values come from another realm than the test's globals, so they are judged by their text.
  expect(Object.prototype.toString.call(answer.map)).toBe('[object Map]');
  expect(answer.map.get(1)).toBe(2n);
  expect([...answer.bytes]).toEqual([1, 2, 3]);
  child.disconnect();
  expect(await exit).toEqual([0, null]);
});

test('a spawned child with an ipc entry carries a message of four megabytes', async () => {
  const child = spawn(process.execPath, [ECHO], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const exit = once(child, 'exit');
  const text = 'rsipc/'.repeat(700_000);
  const [answer] = await exchange(child, [{ text }]);
  expect(answer.text === text).toBe(true);
  child.disconnect();
  expect(await exit).toEqual([0, null]);
});

test('a killed child disconnects and reports its signal', async () => {
  const child = fork(ECHO);
  const disconnect = once(child, 'disconnect');
  const exit = once(child, 'exit');
  await exchange(child, ['ready?']);
  child.kill('SIGKILL');
  expect(await exit).toEqual([null, 'SIGKILL']);
  await disconnect;
  expect(child.connected).toBe(false);
});
