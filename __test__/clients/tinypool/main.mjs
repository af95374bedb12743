// A program that gives tinypool's child processes a few hundred tasks, crashes and aborts some of
// them, and ends with an idle pool it never destroyed: that must not keep it alive.

import { readFileSync } from 'node:fs';
import Tinypool from 'tinypool';
import catalogue from '../catalogue.cjs';
import pooltest from '../pooltest.cjs';

const test = new pooltest.PoolTest();

const open = (options = {}) => new Tinypool({
  runtime: 'child_process',
  filename: new URL('./worker.mjs', import.meta.url).href,
  minThreads: 2,
  maxThreads: 2,
  ...options,
});

const times = (count, make) => Promise.all(Array.from({ length: count }, (unused, n) => make(n)));

async function theCatalogue() {
  const pool = open({ maxThreads: 3 });
  await Promise.all(catalogue.tasks.map((task) => test.catalogued(task, () => pool.run(task.argument, { name: task.method }))));
  await pool.destroy();
}

async function structuredValues() {
  const pool = open({ serialization: 'advanced' });
  await Promise.all(pooltest.STRUCTURED.map(({ name, value, expected }) => (
    test.gives(`advanced echo of ${name}`, expected, () => pool.run(value, { name: 'echo' })))));
  await pool.destroy();
}

async function manyAtOnceInOneWorker() {
  const pool = open({ minThreads: 1, maxThreads: 1, concurrentTasksPerWorker: 8 });
  await times(24, (n) => test.gives(`task ${n} among eight at once`, { n }, () => (
    pool.run({ ms: ((24 - n) * 5) % 31, value: { n } }, { name: 'later' }))));
  await pool.destroy();
}

async function crashes() {
  const pool = open();
  const unexpected = { message: 'Worker exited unexpectedly' };
  await test.fails('exit with code 0 [fails]', unexpected, () => pool.run({ code: 0 }, { name: 'exit' }));
  await test.fails('exit with code 7 [fails]', unexpected, () => pool.run({ code: 7 }, { name: 'exit' }));
  await test.fails('killed [fails]', unexpected, () => pool.run({}, { name: 'kill' }));
  await test.fails('an answer no message can hold [fails]', unexpected, () => pool.run({}, { name: 'unanswerable' }));
  await times(4, (n) => test.gives(`crash ${n}, and again`, { n }, async () => {
    const task = { name: `crash ${n}`, value: { n } };
    try {
      return await pool.run(task, { name: 'exitOnce' });
    } catch (error) {
      if (error.message !== unexpected.message) throw error;
      return pool.run(task, { name: 'exitOnce' });
    }
  }));
  await times(10, (n) => test.gives(`task ${n} after the crashes`, n, () => pool.run(n, { name: 'echo' })));
  await pool.destroy();
}

async function aborts() {
  const pool = open();
  const aborted = { message: 'The task has been aborted' };
  const endless = { ms: 600_000, value: 'never' };
  const running = new AbortController();
  const first = test.fails('aborted while it runs [fails]', aborted, () => pool.run(endless, { name: 'later', signal: running.signal }));
  setTimeout(() => running.abort(), 100);
  await first;
  await test.fails('aborted by a timeout [fails]', aborted, () => pool.run(endless, { name: 'later', signal: AbortSignal.timeout(100) }));
  await test.fails('aborted before it starts [fails]', aborted, () => pool.run(endless, { name: 'later', signal: AbortSignal.abort() }));
  await times(10, (n) => test.gives(`task ${n} after the aborts`, n, () => pool.run(n, { name: 'echo' })));
  const pending = times(6, (n) => test.fails(`task ${n} of a destroyed pool [fails]`, { message: 'Terminating worker thread' }, () => (
    pool.run(endless, { name: 'later' }))));
  await pool.destroy();
  await pending;
}

async function aConversation() {
  const pool = open({ minThreads: 1, maxThreads: 1 });
  const questions = 1000;
  const text = (n) => 'é'.repeat((n * n) % 3000);
  const answers = [];
  let ask;
  const channel = {
    onMessage: (listener) => { ask = listener; },
    postMessage: (message) => {
      if (message.kind === 'answer') answers.push(message);
      else for (let n = 0; n < questions; n += 1) ask({ kind: 'question', n, text: text(n) });
    },
  };
  await test.gives('a conversation of a thousand questions', questions, () => pool.run({ questions }, { name: 'converse', channel }));
  await test.gives(
    'its answers in order',
    Array.from({ length: questions }, (unused, n) => ({ kind: 'answer', n, length: text(n).length })),
    () => answers,
  );
  await pool.destroy();
}

async function freshWorkers() {
  const isolated = open({ isolateWorkers: true });
  await test.gives('twelve isolated tasks have twelve workers', 12, async () => (
    new Set(await times(12, () => isolated.run({}, { name: 'pid' }))).size));
  await isolated.destroy();

  const forgetful = open({ minThreads: 1, maxThreads: 1, maxMemoryLimitBeforeRecycle: 1 });
  await test.gives('a worker above its memory limit is replaced', false, async () => (
    await forgetful.run({}, { name: 'pid' }) === await forgetful.run({}, { name: 'pid' })));
  await forgetful.destroy();

  const recycled = open({ minThreads: 1, maxThreads: 1, teardown: 'close' });
  await test.gives('a recycled pool has another worker', false, async () => {
    const before = await recycled.run({}, { name: 'pid' });
    await recycled.recycleWorkers();
    return before === await recycled.run({}, { name: 'pid' });
  });
  await recycled.destroy();
  await test.gives('both its workers were closed by their teardown', 'closed\nclosed\n', () => (
    readFileSync('closed', 'utf8')));
}

async function anIdlePool() {
  const pool = open();
  await times(10, (n) => test.gives(`task ${n} of a pool left idle`, n, () => pool.run(n, { name: 'echo' })));
  await test.gives('two thousand printed lines', 2000, () => pool.run({ lines: 2000 }, { name: 'print' }));
}

await theCatalogue();
await structuredValues();
await manyAtOnceInOneWorker();
await crashes();
await aborts();
await aConversation();
await freshWorkers();
await anIdlePool();
test.report.write();
