'use strict';
// `rsipc run` in the foreground: what workers get, what is shown, and how it ends.

const assert = require('node:assert');
const net = require('node:net');
const path = require('node:path');
const { test } = require('node:test');
const { leavesNothing, alive, childrenOf } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { CLI, env, start, rsipc, status, program, freePort, get, fixture } = require('../helpers/run.js');

leavesNothing();

const SERVE = fixture('run/serve');
const both = async (run) => {
  await run.says(/worker 1 \(pid \d+\) listens/);
  await run.says(/worker 2 \(pid \d+\) listens/);
};

test('a script runs as it is, in as many workers as were asked for', async () => {
  const port = await freePort();
  const run = start(['run', SERVE, '-i', '2', String(port), '--name=as-it-is', '--', '--own', '-x'], { variables: { RUN_TEST: 'given' } });
  await both(run);
  const pids = new Set();
  await until(async () => pids.add(await get(port, { path: '/pid' })).size === 2, 'two processes answer');
  assert.deepStrictEqual([...pids].map(Number).sort(), childrenOf(run.child.pid).sort());
  assert.deepStrictEqual(JSON.parse(await get(port, { path: '/see' })), {
    argv: [String(port), '--own', '-x'],
    execArgv: [],
    main: true,
    loaded: [],
    heard: [1, 0, 0], // as in a worker of Node's own cluster
    variable: 'given',
    variables: [],
  });
  run.child.kill('SIGTERM');
  const { code, stdout, stderr } = await run.ended;
  assert.strictEqual(code, 0);
  assert.deepStrictEqual(stdout.split('\n').sort(), ['', '[1] ready', '[2] ready']);
  assert.match(stderr, new RegExp(`^\\[rsipc\\] worker [12] \\(pid \\d+\\) listens on 127\\.0\\.0\\.1:${port}$`, 'm'));
  assert.match(stderr, /\[rsipc\] stopped\n$/);
});

test('lines come whole, with the number of their worker, whatever the pieces they were written in', async () => {
  const script = program('writes.js', `
    process.stdout.write('one\\ntw');
    process.stdout.write(Buffer.from('o ü').subarray(0, 3));
    process.stdout.write(Buffer.from('ü').subarray(1));
    process.stderr.write('wrong\\n');
    // Node 22 loses what is not written yet when a program exits.
    process.stdout.write('\\n\\n' + 'x'.repeat(200_000) + '\\nlast', () => process.exit(0));`);
  const { code, stdout, stderr } = await rsipc('run', script, '-i', '1', '--max-restarts', '0');
  assert.strictEqual(code, 0);
  const lines = stdout.split('\n');
  assert.deepStrictEqual([lines[0], lines[1], lines[2], lines.at(-2), lines.at(-1)], ['[1] one', '[1] two ü', '[1] ', '[1] last', '']);
  assert.strictEqual(lines.slice(3, -2).map((line) => line.slice(4)).join(''), 'x'.repeat(200_000));
  assert.match(stderr, /^\[1\] wrong$/m);
  assert.match(stderr, /every worker has ended by itself\n$/);
});

test('who has asked a run something and does not go does not keep it', async () => {
  const run = start(['run', SERVE, '-i', '1', String(await freePort()), '--name=asked']);
  await run.says(/worker 1 \(pid \d+\) listens/);
  const socket = net.connect(path.join(env.RSIPC_RUN_DIR, 'run', 'asked.sock'));
  socket.on('error', () => {});
  socket.write('{"does":"status"}\n'); // and reads nothing
  await happened(socket, 'readable');
  run.child.kill('SIGTERM');
  assert.strictEqual((await run.ended).code, 0);
  socket.destroy();
});

test('a worker that ends is started again, under the same number', async () => {
  const port = await freePort();
  const run = start(['run', SERVE, '-i', '2', String(port), '-n', 'again']);
  await both(run);
  await assert.rejects(get(port, { path: '/crash' }));
  const [, number] = await run.says(/worker (\d) \(pid \d+\) ended: exit code 9/);
  await until(() => run.stderr.match(new RegExp(`worker ${number} \\(pid \\d+\\) listens`, 'g'))?.length === 2, 'its successor listens');
  const { restarts, workers } = await status('again');
  assert.strictEqual(restarts, 1);
  assert.deepStrictEqual(workers.map(({ place, state, restarts: times }) => [place, state, times]), [1, 2].map((place) => [place, 'listening', place === Number(number) ? 1 : 0]));
  run.child.kill('SIGINT');
  assert.strictEqual((await run.ended).code, 0);
});

test('a program that never gets ready is given up with exit code 3', async () => {
  const { code, stderr } = await rsipc('run', program('wrong.js', 'throw new Error("on purpose")'), '-i', '1', '--max-restarts', '2');
  assert.strictEqual(code, 3);
  assert.strictEqual(stderr.match(/\[1\] Error: on purpose/g).length, 3);
  assert.match(stderr, /given up: every worker has ended \(exit code 1\)\n$/);
});

test('connections are handed out in each of the ways there are', async () => {
  await Promise.all(['round-robin', 'least-connections', 'least-load', 'shared'].map(async (way) => {
    const port = await freePort();
    const run = start(['run', SERVE, '-i', '2', String(port), '-n', way, '--scheduling', way]);
    await both(run);
    assert.strictEqual(await get(port), 'ok');
    run.child.kill('SIGTERM');
    assert.strictEqual((await run.ended).code, 0);
  }));
});

test('a client that keeps its cookie keeps its worker', async () => {
  const port = await freePort();
  const run = start(['run', SERVE, '-i', '2', String(port), '-n', 'sticky', '--sticky', 'cookie:sid']);
  await both(run);
  const pids = new Set();
  for (let number = 0; pids.size < 2; number++) {
    const headers = { cookie: `sid=${number}` };
    const pid = await get(port, { path: '/pid', headers });
    for (let again = 0; again < 3; again++) assert.strictEqual(await get(port, { path: '/pid', headers }), pid);
    pids.add(pid);
  }
  run.child.kill('SIGTERM');
  assert.strictEqual((await run.ended).code, 0);
});

test('a stop lets a worker finish what it serves', async () => {
  const port = await freePort();
  const run = start(['run', SERVE, '-i', '1', String(port), '-n', 'finishes']);
  await run.says(/listens/);
  const slow = get(port, { path: '/slow' });
  await until(async () => (await status('finishes')).workers[0].connections === 1, 'the request is under way');
  run.child.kill('SIGTERM');
  assert.strictEqual(await slow, 'slow');
  assert.strictEqual((await run.ended).code, 0);
});

test('a worker that does not end is killed after the deadline, which the exit code tells', async () => {
  const port = await freePort();
  const run = start(['run', SERVE, '-i', '1', String(port), '-n', 'stays', '--stop-timeout', '300ms']);
  await run.says(/listens/);
  const never = assert.rejects(get(port, { path: '/never' }));
  await until(async () => (await status('stays')).workers[0].connections === 1, 'the request is under way');
  run.child.kill('SIGTERM');
  const { code, stderr } = await run.ended;
  assert.strictEqual(code, 4);
  assert.match(stderr, /is killed: it has not ended in time/);
  assert.match(stderr, /stopped; 1 worker had to be killed\n$/);
  await never;
});

test('a second signal kills', async () => {
  const port = await freePort();
  const run = start(['run', SERVE, '-i', '1', String(port), '-n', 'second', '--stop-timeout', '1h']);
  await run.says(/listens/);
  const never = assert.rejects(get(port, { path: '/never' }));
  await until(async () => (await status('second')).workers[0].connections === 1, 'the request is under way');
  run.child.kill('SIGINT');
  await run.says(/stopping 1 worker: SIGINT/);
  run.child.kill('SIGINT');
  assert.strictEqual((await run.ended).code, 4);
  await never;
});

test('workers end with a run that is killed', async () => {
  const run = start(['run', SERVE, '-i', '2', '0']);
  await both(run);
  const workers = childrenOf(run.child.pid);
  assert.strictEqual(workers.length, 2);
  run.child.kill('SIGKILL');
  await run.ended;
  await until(() => !workers.some(alive), 'the workers to end');
});

test('a run ends when nobody reads its output any more', async () => {
  const run = start(['-c', `"$0" "$1" run "$2" -i 1 | head -n 2; exit "\${PIPESTATUS[0]}"`, process.execPath, CLI, program('talks.js', `
    require('node:net').createServer().listen(0);
    setInterval(() => console.log('again'), 5);`)], { command: ['bash'] });
  const { code, stdout } = await run.ended;
  assert.deepStrictEqual([code, stdout], [0, '[1] again\n[1] again\n']);
});

test('wrong options are told with exit code 2, what cannot be done with 1', async () => {
  const usage = [
    [['run'], 'name a script'],
    [['run', SERVE, '--prot', '1'], 'there is no option --prot; what the script is to get stands behind --'],
    [['run', SERVE, '-i', '0'], '--instances is a whole number from 1 to 1024, not 0'],
    [['run', SERVE, '--instances=many'], '--instances is a whole number from 1 to 1024, not many'],
    [['run', SERVE, '--sticky', 'cookie'], '--sticky is cookie:NAME, header:NAME, query:NAME, ip or proxy, not cookie'],
    [['run', SERVE, '--sticky', 'ip', '--scheduling', 'shared'], '--sticky needs another --scheduling than shared'],
    [['run', SERVE, '--scheduling', 'fair'], '--scheduling is round-robin, shared, least-connections, least-load, not fair'],
    [['run', SERVE, '--name', '../x'], 'a name has letters'],
    [['run', SERVE, '--stop-timeout', '3x'], '--stop-timeout is a time like 500ms, 10s or 2m, not 3x'],
    [['run', SERVE, '--log-size', '10'], '--log-size is a size like 500k, 10M or 1G, from 1k on, not 10'],
    [['run', SERVE, '--daemon=yes'], '--daemon takes no value'],
    [['run', SERVE, '--name'], '--name needs a value'],
    [['stop'], 'name a run'],
    [['stop', 'a', 'b'], 'name one, not 2'],
    [['ps', '-x'], 'there is no option -x'],
  ];
  const refused = [
    [['run', 'no-such-script.js'], 'there is no script no-such-script.js'],
    [['run', SERVE, '--dotenv', 'no-such-file'], 'there is no file no-such-file'],
    [['run', SERVE, '--watch=no-such-place'], 'there is no file or directory no-such-place'],
    [['stop', 'nobody'], 'nobody: nothing of that name runs'],
    [['reload', 'nobody'], 'nobody: nothing of that name runs'],
    [['logs', 'nobody'], 'there is no log'],
  ];
  for (const [expected, cases] of [[2, usage], [1, refused]]) {
    await Promise.all(cases.map(async ([args, why]) => {
      const { code, stdout, stderr } = await rsipc(...args);
      assert.deepStrictEqual([args, code, stdout], [args, expected, '']);
      assert.ok(stderr.startsWith('rsipc: ') && stderr.includes(why), `${args}: ${stderr}`);
    }));
  }
  const help = await rsipc('run', '--help');
  assert.deepStrictEqual([help.code, help.stderr], [0, '']);
  assert.match(help.stdout, /^usage: rsipc run \[options\] SCRIPT/);
});

test('on a terminal a table stays below the lines, and ^C stops without harming the workers', async () => {
  const port = await freePort();
  const command = ['python3', path.join(path.dirname(SERVE), 'terminal.py'), process.execPath, CLI];
  const run = start(['run', SERVE, '-i', '2', String(port), '-n', 'shown'], { command, variables: { NO_COLOR: '1' } });
  await run.says(/shown running · 2 of 2 workers on 127\.0\.0\.1:\d+/);
  await run.says(/^1 +\d+ {2}listening +0 /m);
  await run.says(/\[[12]\] ready/);
  const slow = get(port, { path: '/slow' });
  await until(async () => (await status('shown')).workers.some(({ connections }) => connections === 1), 'the request is under way');
  run.child.kill('SIGINT');
  assert.strictEqual(await slow, 'slow');
  const { code, stdout } = await run.ended;
  assert.strictEqual(code, 0);
  assert.match(stdout, /has gone: exit code 0[^]*has gone: exit code 0[^]*\[rsipc\] stopped\r\n$/);
});

test('a run whose terminal is closed ends, with its workers', async () => {
  const command = ['python3', path.join(path.dirname(SERVE), 'terminal.py'), process.execPath, CLI];
  const run = start(['run', SERVE, '-i', '1', '0', '-n', 'hung-up'], { command });
  await run.says(/1 of 1 worker on/);
  const { pid, workers } = await status('hung-up');
  run.child.kill('SIGKILL');
  await run.ended;
  await until(() => ![pid, ...workers.map((worker) => worker.pid)].some(alive), 'the end of all');
  assert.strictEqual((await rsipc('ps')).stdout, 'nothing runs\n');
});
