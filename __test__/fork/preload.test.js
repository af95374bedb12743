'use strict';
// The file that `fork` preloads: who gets it, what of it can be seen, and when it loads rsipc.

const assert = require('node:assert');
const { execFile } = require('node:child_process');
const { promisify } = require('node:util');
const { test } = require('node:test');
const { parity } = require('../helpers/parity.js');
const { rsipc, fixture, environment, REGISTER } = require('../helpers/modules.js');
const { leavesNothing } = require('../helpers/leavings.js');
const { withChild } = require('../helpers/with-child.js');
const { happened, until } = require('../helpers/wait.js');

leavesNothing();

const kLink = Symbol.for('rsipc.channel');
// What is looked at is when a child is asked: of its own accord, whatever the default is.
const PROGRAM = { program: 'fork/asks-itself', transport: 'auto' };
const flag = (...names) => names.find((name) => process.allowedNodeEnvironmentFlags.has(name));

async function ask(child) {
  child.send('who are you?');
  const [answer] = await happened(child, 'message');
  return answer;
}

// Sends `count` messages back and forth, one at a time.
async function talk(child, count, message = 'x') {
  for (let i = 0; i < count; i++) {
    child.send(message);
    await happened(child, 'message');
  }
}

const upgraded = (child) => until(async () => (await ask(child)).upgraded, 'the child to be upgraded');

for (const execArgv of [undefined, [], ['--no-warnings'], ['--require', fixture('lifecycle/nothing'), '--no-warnings']]) {
  parity(`a program, its threads and its children see nothing of it (execArgv: ${JSON.stringify(execArgv)?.replace(/"[^"]*\//g, '"')})`, async (scene) => {
    const child = scene.fork('fork/see-itself', ['one', 'two'], { execArgv, env: { NODE_OPTIONS: '--stack-trace-limit=20' } });
    scene.note('spawnargs', child.spawnargs);
    scene.record(child, ['spawn']);
    let left = 5;
    child.on('message', () => --left === 0 && child.disconnect());
    await happened(child, 'exit');
  }, { ends: 'parent' });
}

parity('spawnargs are Node\'s in the error of a program that does not start', async (scene) => {
  const child = scene.fork('fork/say', ['one'], { cwd: '/nonexistent' });
  const [error] = await happened(child, 'error');
  scene.note(error.code, error.spawnargs, child.spawnargs);
}, { ends: 'parent' });

test('a child that gets little loads nothing', () => withChild(async (child) => {
  await talk(child, 30);
  assert.deepStrictEqual(await ask(child), { preloaded: true, upgraded: false, imported: false, execArgv: process.execArgv });
}, PROGRAM));

for (const serialization of ['json', 'advanced']) {
  test(`a child is upgraded when there have been 1,024 messages (${serialization})`, () => withChild(async (child) => {
    await talk(child, 500);
    assert.strictEqual((await ask(child)).upgraded, false);
    await talk(child, 12);
    await upgraded(child);
    await until(() => child.channel.transport === 'ring', 'the channel to leave the socket');
    await talk(child, 10);
  }, { ...PROGRAM, serialization }));

  test(`a child is upgraded when there have been 1 MiB (${serialization})`, () => withChild(async (child) => {
    await talk(child, 1, serialization === 'json' ? 'x'.repeat(560_000) : Buffer.alloc(560_000));
    await upgraded(child);
  }, { ...PROGRAM, serialization }));
}

test('a child is upgraded when something is asked of it that takes rsipc', () => withChild(async (child) => {
  const echoed = happened(child, 'message');
  await child.send('with a receipt', undefined, { receipt: true });
  assert.deepStrictEqual(await echoed, ['with a receipt', undefined]);
  await assert.rejects(child.request('anything'), { code: 'ERR_RSIPC_NO_HANDLER' });
  assert.strictEqual((await ask(child)).upgraded, true);
}, PROGRAM));

test('a child that has loaded rsipc itself says so, once, behind its first message', () => withChild(async (child) => {
  const link = child[kLink];
  const [first] = await happened(child, 'message');
  assert.strictEqual(first, 'first');
  await until(() => link.peer.known, 'the child to greet');
  assert.strictEqual(link.asked, 0);
  assert.strictEqual(link.messages, 3); // with the greeting and its answer
  assert.strictEqual(child.channel.transport, 'socket');
}, { program: 'fork/says-hello-first', transport: 'auto' }));

test('a child without process.send keeps its channel as it is', () => withChild(async (child) => {
  await talk(child, 600);
  const answer = await ask(child);
  assert.strictEqual(answer.preloaded, true);
  assert.strictEqual(answer.upgraded, false);
}, { ...PROGRAM, args: ['without send'] }));

test('a child without the native part keeps its channel as it is, and says nothing', async () => {
  await withChild(async (child) => {
    let output = '';
    child.stderr.on('data', (text) => { output += text; });
    const link = child[kLink];
    link.peer.greet();
    await talk(child, 20);
    assert.strictEqual((await ask(child)).upgraded, false);
    child.disconnect();
    await happened(child.stderr, 'close');
    assert.strictEqual(output, '');
  }, { ...PROGRAM, stdio: ['ignore', 'ignore', 'pipe', 'ipc'], execArgv: ['--require', fixture('lifecycle/no-addons')] });
});

const permission = flag('--permission', '--experimental-permission');
const defaultType = flag('--experimental-default-type');
const PRELOADED = {
  'with a channel elsewhere than 3': { stdio: ['ignore', 'ignore', 'ignore', 'ignore', 'pipe', 'ipc'] },
  'with execPath that is this one': { execPath: process.execPath },
  'with --inspect': { execArgv: ['--inspect=127.0.0.1:0'], stdio: ['ignore', 'ignore', 'ignore', 'ipc'] },
  'with --import': { execArgv: ['--import', 'data:text/javascript,globalThis.imported=true'], imported: true },
  'with --require in NODE_OPTIONS': { environment: { NODE_OPTIONS: `--require ${fixture('lifecycle/nothing')}` } },
  'as an ES module': { program: 'fork/asks-itself.mjs' },
  ...(defaultType && { 'with modules as the default type': { execArgv: [`${defaultType}=module`] } }),
  'without a prototype': { execArgv: ['--disable-proto=throw'] },
  'with frozen intrinsics': { execArgv: ['--frozen-intrinsics', '--no-warnings'] },
  'with preserved symlinks': { execArgv: ['--preserve-symlinks', '--preserve-symlinks-main'] },
  'in a directory of its own': { cwd: '/' },
  'with argv0': { argv0: 'a-name' },
  detached: { detached: true },
  'with dieWithParent': { dieWithParent: true },
};

for (const [how, { imported = false, ...options }] of Object.entries(PRELOADED)) {
  test(`a child ${how} is preloaded and can be upgraded`, () => withChild(async (child) => {
    const answer = await ask(child);
    assert.deepStrictEqual(answer, { preloaded: true, upgraded: false, imported, execArgv: options.execArgv ?? process.execArgv });
    await talk(child, 500);
    assert.strictEqual((await ask(child)).upgraded, false);
    await talk(child, 12);
    await upgraded(child);
  }, { ...PROGRAM, ...options }));
}

const NOT_PRELOADED = {
  'with transport: \'socket\'': { transport: 'socket' },
  'with transport: \'socket\' and dieWithParent': { transport: 'socket', dieWithParent: true },
  'with RSIPC_DISABLE=1': { environment: { RSIPC_DISABLE: '1' } },
  'of another program': { execPath: '/proc/self/exe' },
  'of another user': { uid: process.getuid?.() },
  ...(permission && { 'under the permission model': { execArgv: [permission, '--allow-fs-read=*', '--no-warnings'] } }),
  'under flags from a file': { execArgv: ['--env-file', fixture('lifecycle/nothing')] },
  'without addons': { execArgv: ['--no-addons'] },
  'without addons by NODE_OPTIONS': { environment: { NODE_OPTIONS: '--no-warnings --no-addons' } },
};

for (const [how, options] of Object.entries(NOT_PRELOADED)) {
  test(`a child ${how} is not preloaded and works`, () => withChild(async (child) => {
    await talk(child, 600);
    const answer = await ask(child);
    assert.strictEqual(answer.preloaded, false);
    assert.strictEqual(answer.upgraded, false);
    assert.deepStrictEqual(answer.execArgv, options.execArgv ?? process.execArgv);
  }, { ...PROGRAM, ...options }));
}

test('a child that was spawned is not preloaded', async () => {
  const child = rsipc.spawn(process.execPath, [fixture('fork/asks-itself')], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], env: environment(false) });
  await talk(child, 600);
  assert.strictEqual((await ask(child)).preloaded, false);
  child.disconnect();
  await happened(child, 'exit');
});

test('a program in another language gets no message of ours', async () => {
  const script = 'const fs = require("fs"); const fd = 3; let all = ""; const bytes = Buffer.alloc(65536);' +
    'try { for (;;) { const n = fs.readSync(fd, bytes); if (n === 0) break; all += bytes.latin1Slice(0, n); } } finally { console.log(all.split("\\n").length - 1, /RSIPC/.test(all)); }';
  const child = rsipc.spawn('/usr/bin/env', ['-u', 'NODE_CHANNEL_FD', process.execPath, '-e', script], { transport: 'auto', stdio: ['ignore', 'pipe', 'inherit', 'ipc'], env: environment(false) });
  for (let i = 0; i < 1_000; i++) child.send('x'.repeat(1_000));
  child.disconnect();
  const exited = happened(child, 'exit');
  const [line] = await happened(child.stdout, 'data');
  assert.strictEqual(String(line), '1000 false\n');
  await exited;
});

test('a fork under rsipc/register is preloaded, a cluster\'s worker is not, and both work', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['-r', REGISTER, fixture('lifecycle/forks-both')], { env: environment(false) });
  assert.deepStrictEqual(JSON.parse(stdout), { forked: { preloaded: true, upgraded: true, execArgv: [] }, worker: { preloaded: false, upgraded: false, execArgv: [] }, answer: 'from the worker' });
});
