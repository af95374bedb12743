// A test that itself forks: a channel inside a worker that is at the end of another channel.

import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ECHO = fileURLToPath(new URL('./echo.mjs', import.meta.url));

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

test('a child with advanced serialization answers with the same values', async () => {
  const child = fork(ECHO, { serialization: 'advanced' });
  const exit = once(child, 'exit');
  const message = { map: new Map([[1, 2n]]), bytes: new Uint8Array([1, 2, 3]), at: new Date(0), pattern: /a/gi };
  expect(await exchange(child, [message])).toEqual([message]);
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
