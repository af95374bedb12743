'use strict';

// A program that gives workerpool's child processes a few hundred tasks, crashes, times out and
// cancels some of them, and exits with workers idle and busy: they must not outlive it.

const fs = require('node:fs');
const path = require('node:path');
const workerpool = require('workerpool');
const { tasks } = require('../catalogue.cjs');
const { PoolTest, STRUCTURED } = require('../pooltest.cjs');

const test = new PoolTest();

const open = (options = {}) => workerpool.pool(path.join(__dirname, 'worker.js'), {
  workerType: 'process',
  maxWorkers: 2,
  ...options,
});

const times = (count, make) => Promise.all(Array.from({ length: count }, (unused, n) => make(n)));

async function theCatalogue() {
  const pool = open({ maxWorkers: 3 });
  await Promise.all(tasks.map((task) => test.catalogued(task, () => pool.exec(task.method, [task.argument]))));
  await test.gives('three workers are idle after the catalogue', {
    totalWorkers: 3, busyWorkers: 0, idleWorkers: 3, pendingTasks: 0, activeTasks: 0,
  }, () => pool.stats());
  await pool.terminate();
}

async function structuredValues() {
  const pool = open({ forkOpts: { serialization: 'advanced' } });
  await Promise.all(STRUCTURED.map(({ name, value, expected }) => (
    test.gives(`advanced echo of ${name}`, expected, () => pool.exec('echo', [value])))));
  await pool.terminate();
}

async function functionsSentAlong() {
  const pool = workerpool.pool({ workerType: 'process', maxWorkers: 2 });
  const fibonacci = (n) => {
    let [a, b] = [0n, 1n];
    for (let i = 0; i < n; i += 1) [a, b] = [b, a + b];
    return String(a);
  };
  await times(25, (n) => test.gives(`fibonacci of ${n * 20}`, fibonacci(n * 20), () => pool.exec(fibonacci, [n * 20])));
  await pool.terminate();
}

async function aProxy() {
  const pool = open();
  const proxy = await pool.proxy();
  await test.gives('a proxy has the worker\'s methods', [
    'methods', 'run', 'survey', 'releases', 'sort', 'ledger', 'words', 'template', 'digest', 'repeat', 'echo', 'later',
    'throwError', 'throwFromSemver', 'reject', 'pid', 'exit', 'kill', 'exitOnce', 'count', 'patient', 'print',
  ].sort(), () => Object.keys(proxy).sort());
  await times(10, (n) => test.gives(`echo ${n} through a proxy`, { n }, () => proxy.echo({ n })));
  await pool.terminate();
}

async function events() {
  const pool = open({ maxWorkers: 1 });
  const heard = [];
  await test.gives('a task with a thousand events', 1000, () => pool.exec('count', [{ to: 1000 }], { on: (event) => heard.push(event) }));
  await test.gives(
    'its events in order, all before its answer',
    Array.from({ length: 1000 }, (unused, n) => ({ n, text: 'é'.repeat((n * n) % 3000) })),
    () => heard,
  );
  await pool.terminate();
}

async function outputOfWorkers() {
  const pool = open({ maxWorkers: 1, emitStdStreams: true });
  const heard = { stdout: '', stderr: '' };
  const on = (payload) => {
    for (const stream of Object.keys(payload)) heard[stream] += payload[stream];
  };
  await test.gives('a task that prints', 'printed', () => pool.exec('print', [{ out: 'to stdout\n', err: 'to stderr\n' }], { on }));
  await test.gives('its output', { stdout: 'to stdout\n', stderr: 'to stderr\n' }, () => heard);
  await pool.terminate();
}

async function crashes() {
  const pool = open();
  const terminated = (code, signal) => ({
    message: new RegExp(`^Workerpool Worker terminated Unexpectedly\\n    exitCode: \`${code}\`\n    signalCode: \`${signal}\`\n`),
  });
  await test.fails('exit with code 0 [fails]', terminated(0, null), () => pool.exec('exit', [{ code: 0 }]));
  await test.fails('exit with code 7 [fails]', terminated(7, null), () => pool.exec('exit', [{ code: 7 }]));
  await test.fails('killed [fails]', terminated(null, 'SIGKILL'), () => pool.exec('kill'));
  await test.fails('no such method [fails]', { message: 'Unknown method "missing"' }, () => pool.exec('missing'));
  await times(4, (n) => test.gives(`crash ${n}, and again`, { n }, async () => {
    const task = { name: `crash ${n}`, value: { n } };
    try {
      return await pool.exec('exitOnce', [task]);
    } catch (error) {
      if (!terminated(9, null).message.test(error.message)) throw error;
      return pool.exec('exitOnce', [task]);
    }
  }));
  await times(10, (n) => test.gives(`task ${n} after the crashes`, n, () => pool.exec('echo', [n])));
  await pool.terminate();
}

async function timeoutsAndCancellations() {
  const pool = open({ maxWorkers: 1, workerTerminateTimeout: 5000 });
  const endless = [{ ms: 600_000, value: 'never' }];
  const late = { message: 'Promise timed out after 150 ms' };
  const cancelled = { message: 'promise cancelled' };

  const first = await pool.exec('pid');
  await test.fails('a task beyond its time [fails]', late, () => pool.exec('later', endless).timeout(150));
  await test.gives('its worker is replaced', false, async () => first === await pool.exec('pid'));
  await test.fails('a cancelled task [fails]', cancelled, () => {
    const promise = pool.exec('later', endless);
    setTimeout(() => promise.cancel(), 150);
    return promise;
  });

  const second = await pool.exec('pid');
  const heard = [];
  await test.fails('a patient task beyond its time [fails]', late, () => (
    pool.exec('patient', [], { on: (event) => heard.push(event) }).timeout(150)));
  await test.gives('its worker stays', true, async () => second === await pool.exec('pid'));
  await test.gives('its listener was heard', ['given up'], () => heard);
  await times(10, (n) => test.gives(`task ${n} after the timeouts`, n, () => pool.exec('echo', [n])));
  await pool.terminate();
}

async function terminations() {
  const marks = path.join(process.env.CLIENTS_RUN, 'terminated');
  fs.rmSync(marks, { force: true });
  const kind = open({ minWorkers: 'max', maxWorkers: 3 });
  await times(9, (n) => test.gives(`task ${n} of a pool of three`, n, () => kind.exec('echo', [n])));
  await kind.terminate();
  await test.gives('three workers are told of their end', 'terminated\n'.repeat(3), () => fs.readFileSync(marks, 'utf8'));

  const rough = open({ workerTerminateTimeout: 5000 });
  const endless = [{ ms: 600_000, value: 'never' }];
  const pending = Promise.all([
    ...Array.from({ length: 2 }, (unused, n) => (
      test.fails(`running task ${n} of a terminated pool [fails]`, { message: 'Worker terminated' }, () => rough.exec('later', endless)))),
    ...Array.from({ length: 4 }, (unused, n) => (
      test.fails(`waiting task ${n} of a terminated pool [fails]`, { message: 'Pool terminated' }, () => rough.exec('later', endless)))),
  ]);
  await rough.terminate(true);
  await pending;
}

async function aBusyPool() {
  const pool = open({ maxWorkers: 3 });
  await times(10, (n) => test.gives(`task ${n} of a pool left busy`, n, () => pool.exec('echo', [n])));
  pool.exec('later', [{ ms: 600_000, value: 'never' }]).catch(() => {});
}

async function main() {
  await theCatalogue();
  await structuredValues();
  await functionsSentAlong();
  await aProxy();
  await events();
  await outputOfWorkers();
  await crashes();
  await timeoutsAndCancellations();
  await terminations();
  await aBusyPool();
  test.report.write();
  process.exit(0);
}

main();
