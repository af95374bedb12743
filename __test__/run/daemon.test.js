'use strict';
// `rsipc run --daemon`, and the commands that speak with a run.

const assert = require('node:assert');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { test } = require('node:test');
const { leavesNothing, alive, stopped } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { ROOT } = require('../helpers/modules.js');
const { env, start, rsipc, status, program, freePort, get, fixture, started } = require('../helpers/run.js');

leavesNothing();

const SERVE = fixture('run/serve');
const logOf = (name) => path.join(env.XDG_STATE_HOME, 'rsipc/log', `${name}.log`);
const socketOf = (name) => path.join(env.RSIPC_RUN_DIR, 'run', `${name}.sock`);
const read = (name) => fs.readFileSync(logOf(name), 'utf8');

// Starts a daemon, and answers how it is.
async function daemon(name, ...args) {
  const { code, stdout, stderr } = await rsipc('run', '--daemon', '--name', name, ...args);
  assert.strictEqual(code, 0, stderr);
  const now = await status(name);
  started.add(now.pid);
  assert.ok(stdout.includes(`(pid ${now.pid}), log ${logOf(name)}`), stdout);
  return now;
}

test('a daemon outlives who started it, is listed, reloaded and stopped by name', async () => {
  const port = await freePort();
  const { pid, workers } = await daemon('life', SERVE, '-i', '2', String(port));
  assert.strictEqual(await get(port), 'ok');
  const list = await rsipc('ps');
  assert.match(list.stdout, new RegExp(`^NAME +PID +STATE.*\\nlife +${pid} +running +2/2 .*serve\\.js\\n$`));
  assert.match((await rsipc('ps', 'life')).stdout, new RegExp(`^life running · 2 of 2 workers on 127\\.0\\.0\\.1:${port} `));
  assert.deepStrictEqual(JSON.parse((await rsipc('ps', '--json')).stdout).map(({ name }) => name), ['life']);

  const { code, stderr } = await rsipc('run', '-d', '--name', 'life', SERVE);
  assert.strictEqual(code, 1);
  assert.match(stderr, /^rsipc: life: it runs already; .*\(ERR_RSIPC_NAME_TAKEN\)\n$/);
  assert.strictEqual((await rsipc('run', '--name', 'life', SERVE)).code, 1);

  assert.deepStrictEqual(await rsipc('reload', 'life').then(({ stdout }) => stdout), 'life has 2 new workers\n');
  assert.ok(!(await status('life')).workers.some((worker) => worker.state === 'listening' && workers.some((old) => old.pid === worker.pid)));

  const ended = await rsipc('stop', 'life');
  assert.deepStrictEqual([ended.code, ended.stdout], [0, 'life: stopped\n']);
  await until(() => !alive(pid), 'its end');
  assert.ok(!fs.existsSync(socketOf('life')));
  assert.strictEqual((await rsipc('ps')).stdout, 'nothing runs\n');
  assert.match(read('life'), /^\d{4}-\d\d-\d\dT[\d:.]+Z \[[12]\] ready$/m);
  assert.match(read('life'), /\[rsipc\] stopped\n$/);
});

test('what belongs to a run is for its user alone', async () => {
  const port = await freePort();
  const { pid } = await daemon('private', SERVE, '-i', '1', String(port));
  const mode = (file) => (fs.statSync(file).mode & 0o777).toString(8);
  assert.deepStrictEqual([socketOf('private'), logOf('private')].map(mode), ['600', '600']);
  assert.deepStrictEqual([path.dirname(socketOf('private')), env.RSIPC_RUN_DIR, path.dirname(logOf('private'))].map(mode), ['700', '700', '700']);
  assert.strictEqual((await rsipc('stop', 'private')).code, 0);
  await until(() => !alive(pid), 'its end');
});

test('a daemon that is killed leaves no worker, and its name goes to the next', async () => {
  const port = await freePort();
  const first = await daemon('killed', SERVE, '-i', '2', String(port));
  process.kill(first.pid, 'SIGKILL');
  await until(() => ![first, ...first.workers].some(({ pid }) => alive(pid)), 'the end of all');
  assert.ok(fs.existsSync(socketOf('killed')));
  assert.strictEqual((await rsipc('ps')).stdout, 'nothing runs\n');
  assert.strictEqual((await rsipc('stop', 'killed')).code, 1);
  assert.match((await rsipc('logs', 'killed')).stdout, /\] ready\n/);
  // Of several that find the name free, one gets it.
  const ports = [port, await freePort(), await freePort()];
  const tries = await Promise.all(ports.map((each) => rsipc('run', '-d', '--name', 'killed', SERVE, '-i', '1', String(each))));
  assert.deepStrictEqual(tries.map(({ code }) => code).sort(), [0, 1, 1], tries.map(({ stderr }) => stderr).join(''));
  const second = await status('killed');
  started.add(second.pid);
  assert.strictEqual((await rsipc('stop', 'killed', '--now')).code, 4);
  await until(() => !alive(second.pid), 'its end');

  const third = await daemon('killed', SERVE, '-i', '1', String(port));
  assert.doesNotMatch((await rsipc('clean')).stdout, /run/);
  process.kill(third.pid, 'SIGKILL');
  await until(() => ![third, ...third.workers].some(({ pid }) => alive(pid)), 'the end of all');
  assert.match((await rsipc('clean')).stdout, /, what 1 killed run left; /);
  assert.ok(!fs.existsSync(socketOf('killed')));
});

test('a daemon that cannot start says why', async () => {
  const fails = program('fails.js', 'throw new Error("on purpose")');
  const { code, stderr } = await rsipc('run', '-d', fails, '-i', '1', '--max-restarts', '1');
  assert.strictEqual(code, 3);
  assert.match(stderr, /^rsipc: fails: given up: every worker has ended \(exit code 1\); see .*fails\.log\n$/);
  assert.match((await rsipc('logs', 'fails')).stdout, /\[1\] Error: on purpose/);
  const refused = await rsipc('run', '-d', SERVE, '--log-dir', fails);
  assert.strictEqual(refused.code, 1);
  assert.match(refused.stderr, /^rsipc: E\w+: /);
});

test('a run that does not answer is listed as such, and has its name', async () => {
  const port = await freePort();
  const { pid } = await daemon('asleep', SERVE, '-i', '1', String(port));
  process.kill(pid, 'SIGSTOP');
  await stopped(pid);
  const [list, again, logs] = await Promise.all([rsipc('ps'), rsipc('run', '-d', '-n', 'asleep', SERVE), rsipc('logs', 'asleep')]);
  process.kill(pid, 'SIGCONT');
  assert.match(list.stdout, /^asleep +- +no answer/m);
  assert.match(again.stderr, /ERR_RSIPC_NAME_TAKEN/);
  assert.match(logs.stdout, /ready/);
  assert.strictEqual((await rsipc('stop', 'asleep')).code, 0);
  await until(() => !alive(pid), 'its end');
});

test('logs prints the last lines, and follows over to the next file', async () => {
  const port = await freePort();
  const script = program('counts.js', `
    let number = 0;
    require('node:http').createServer((request, response) => {
      for (const end = number + 100; number < end; number++) console.log('line ' + number);
      response.end();
    }).listen(${port}, '127.0.0.1');`);
  const { pid } = await daemon('counts', script, '-i', '1', '--log-size', '8k', '--log-files', '3');
  await get(port);
  await until(() => read('counts').includes('line 99\n'), 'the lines');
  const last = await rsipc('logs', 'counts', '--lines', '3');
  assert.deepStrictEqual(last.stdout.match(/\[1\] .*/g), ['[1] line 97', '[1] line 98', '[1] line 99']);

  const follower = start(['logs', '-f', 'counts', '-l', '1']);
  await follower.says(/line 99\n/);
  for (let round = 1; round <= 8; round++) {
    await get(port);
    await follower.says(new RegExp(`line ${round}99\\n`));
  }
  follower.child.kill('SIGTERM');
  await follower.ended;
  assert.deepStrictEqual(follower.stdout.match(/line \d+/g), Array.from({ length: 801 }, (_, index) => `line ${index + 99}`));

  const files = fs.readdirSync(path.dirname(logOf('counts'))).filter((file) => file.startsWith('counts.')).sort();
  assert.deepStrictEqual(files, ['counts.log', 'counts.log.1', 'counts.log.2']);
  for (const file of files) assert.ok(fs.statSync(path.join(path.dirname(logOf('counts')), file)).size <= 8 * 1024);
  assert.strictEqual((await rsipc('stop', 'counts')).code, 0);
  await until(() => !alive(pid), 'its end');
});

test('ps tells connections, requests and a loop that is blocked', async () => {
  const port = await freePort();
  const run = start(['run', SERVE, '-i', '1', String(port), '-n', 'gauges']);
  await run.says(/listens/);
  for (let count = 0; count < 5; count++) await get(port);
  const socket = net.connect(port, '127.0.0.1');
  await happened(socket, 'connect');
  const worker = async () => (await status('gauges')).workers[0];
  await until(async () => {
    const { requests, connections, memory, lag } = await worker();
    return requests === 5 && connections === 1 && memory > 10_000_000 && lag >= 0;
  }, 'what has been served');
  socket.destroy();
  const blocked = get(port, { path: '/block' });
  await until(async () => (await worker()).state === 'blocked', 'the blocked loop');
  assert.ok((await worker()).lag > 3_000);
  assert.strictEqual(await blocked, 'blocked');
  await until(async () => (await worker()).state === 'listening', 'the loop to come round');
  assert.strictEqual((await rsipc('stop', 'gauges')).code, 0);
  assert.strictEqual((await run.ended).code, 0);
});

test('the control socket answers nonsense with an error and goes on', async () => {
  const port = await freePort();
  const { pid } = await daemon('control', SERVE, '-i', '1', String(port));
  const say = async (text) => {
    const socket = net.connect(socketOf('control'));
    socket.on('error', () => {});
    let answer = '';
    socket.setEncoding('utf8').on('data', (piece) => (answer += piece));
    socket.write(text);
    await happened(socket, 'close');
    return answer === '' ? 'nothing' : Object.keys(JSON.parse(answer)).join();
  };
  assert.deepStrictEqual(
    await Promise.all(['{}\n', 'null\n', '\n', '{"does":"toString"}\n', '{"does":\n', '[[[[\n', '{"does":"status"}\n'].map(say)),
    ['error', 'error', 'error', 'error', 'error', 'error', 'ok']);
  assert.strictEqual(await say('x'.repeat(100_000)), 'nothing');
  const idle = Array.from({ length: 40 }, () => net.connect(socketOf('control')).on('error', () => {}));
  await Promise.all(idle.map((socket) => happened(socket, 'connect')));
  for (const socket of idle) socket.destroy();
  await until(() => status('control').then(() => true, () => false), 'an answer');
  assert.strictEqual((await rsipc('stop', 'control')).code, 0);
  await until(() => !alive(pid), 'its end');
});

test('a log whose disk is full loses lines and says how many', (t) => {
  const { Log } = require(path.join(ROOT, 'lib/cli/log.js'));
  const file = logOf('full');
  const log = new Log(file, { most: 1e6, files: 2 });
  const write = fs.writeSync;
  t.after(() => {
    fs.writeSync = write;
  });
  fs.writeSync = () => {
    throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
  };
  for (let number = 0; number < 5; number++) log.write(1, [`lost ${number}`, 'too']);
  fs.writeSync = write;
  const now = Date.now() + 5_000;
  t.mock.method(Date, 'now', () => now);
  log.write(1, ['written']);
  log.close();
  assert.match(fs.readFileSync(file, 'utf8'), /^\S+ \[rsipc\] 10 lines could not be written\n\S+ \[1\] written\n$/);
});
