'use strict';
// Exchanging the workers of a run: when, for what, and what clients see of it.

const assert = require('node:assert');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { test } = require('node:test');
const { leavesNothing } = require('../helpers/leavings.js');
const { until } = require('../helpers/wait.js');
const { place, start, rsipc, status, program, freePort, get, fixture } = require('../helpers/run.js');

leavesNothing();

const SERVE = fixture('run/serve');
const answers = (text) => `require('node:http').createServer((request, response) => response.end(${text})).listen(Number(process.argv[2]), '127.0.0.1');`;

async function stopped(run) {
  run.child.kill('SIGTERM');
  const ended = await run.ended;
  assert.strictEqual(ended.code, 0, ended.stderr);
  return ended;
}

test('no request fails while workers are exchanged, over connections that are kept and over new ones', async () => {
  const port = await freePort();
  const run = start(['run', SERVE, '-i', '2', String(port), '-n', 'load']);
  await run.says(/worker 2 \(pid \d+\) listens/);
  await run.says(/worker 1 \(pid \d+\) listens/);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  let going = true;
  const seen = new Set();
  const clients = [agent, agent, false, false].map(async (each) => {
    let count = 0;
    for (; going; count++) seen.add(await get(port, { path: '/pid', agent: each }));
    return count;
  });
  for (let round = 0; round < 3; round++) assert.strictEqual((await rsipc('reload', 'load')).code, 0);
  going = false;
  const counts = await Promise.all(clients);
  agent.destroy();
  assert.ok(counts.every((count) => count > 10), `${counts}`);
  assert.ok(seen.size >= 4, `${seen.size} processes answered`);
  const { reloads, restarts } = await status('load');
  assert.deepStrictEqual([reloads, restarts], [3, 0]);
  await stopped(run);
});

test('SIGHUP brings changed code and a changed --dotenv file', async () => {
  const port = await freePort();
  const script = program('changes.js', answers('"first " + process.env.SAYS + " " + process.env.KEPT + " " + process.env.GOES'));
  const dotenv = program('.env', 'SAYS=one\nKEPT=file\nGOES=soon\n');
  const run = start(['run', script, '-i', '2', '--dotenv', dotenv, String(port)], { variables: { KEPT: 'environment' } });
  await run.says(/listens/);
  assert.strictEqual(await get(port), 'first one environment soon');
  fs.writeFileSync(script, answers('"second " + process.env.SAYS + " " + process.env.KEPT + " " + process.env.GOES'));
  fs.writeFileSync(dotenv, 'SAYS=two\nKEPT=file\n');
  run.child.kill('SIGHUP');
  await run.says(/reloaded in \d+ ms/);
  assert.strictEqual(await get(port), 'second two environment undefined');
  await stopped(run);
});

test('code that does not start leaves the old workers, and says why', async () => {
  const port = await freePort();
  const script = program('breaks.js', answers('"old"'));
  const run = start(['run', script, '-i', '2', String(port), '-n', 'breaks']);
  await run.says(/worker 1 \(pid \d+\) listens/);
  await run.says(/worker 2 \(pid \d+\) listens/);
  const pids = (await status('breaks')).workers.map(({ pid }) => pid);
  fs.writeFileSync(script, 'process.exit(5)');
  const { code, stderr } = await rsipc('reload', 'breaks');
  assert.strictEqual(code, 1);
  assert.match(stderr, /code 5/);
  assert.strictEqual(await get(port), 'old');
  const now = await status('breaks');
  assert.deepStrictEqual([now.workers.map(({ pid }) => pid), now.restarts, now.reloads, now.state], [pids, 0, 0, 'running']);
  fs.writeFileSync(script, answers('"new"'));
  assert.strictEqual((await rsipc('reload', 'breaks')).code, 0);
  assert.strictEqual(await get(port), 'new');
  await stopped(run);
});

test('a new worker that never gets ready is given up after --reload-timeout', async () => {
  const port = await freePort();
  const script = program('hangs.js', answers('"old"'));
  const run = start(['run', script, '-i', '1', String(port), '-n', 'hangs', '--reload-timeout', '400ms']);
  await run.says(/listens/);
  fs.writeFileSync(script, 'setInterval(() => {}, 1000)');
  const { code, stderr } = await rsipc('reload', 'hangs');
  assert.strictEqual(code, 1);
  assert.match(stderr, /after 400 ms/);
  assert.strictEqual(await get(port), 'old');
  await stopped(run);
});

test('--watch reloads when a file changes, appears or goes below its directories, and not for others', async () => {
  const port = await freePort();
  const directory = path.join(place, 'watched');
  fs.mkdirSync(path.join(directory, 'part'), { recursive: true });
  fs.mkdirSync(path.join(directory, 'node_modules'));
  fs.writeFileSync(path.join(directory, 'part/says.js'), 'module.exports = "one"');
  fs.writeFileSync(path.join(directory, 'main.js'), `const says = require('./part/says.js');${answers('says')}`);
  const run = start(['run', path.join(directory, 'main.js'), '-i', '1', '--watch', String(port)]);
  await run.says(/listens/);
  const reloads = () => run.stderr.match(/reloaded in/g)?.length ?? 0;

  fs.writeFileSync(path.join(directory, 'part/says.js'), 'module.exports = "two"');
  await until(async () => await get(port) === 'two', 'the change');
  // As an editor does it.
  fs.writeFileSync(path.join(directory, 'part/.says.js.swp'), 'module.exports = "three"');
  fs.renameSync(path.join(directory, 'part/.says.js.swp'), path.join(directory, 'part/says.js'));
  await until(async () => await get(port) === 'three', 'the change');
  await until(() => reloads() === 2, 'the end of it');

  fs.writeFileSync(path.join(directory, 'node_modules/other.js'), '');
  fs.writeFileSync(path.join(directory, '.hidden'), '');
  fs.utimesSync(directory, new Date(), new Date());
  fs.mkdirSync(path.join(directory, 'new'));
  fs.writeFileSync(path.join(directory, 'new/file.js'), '');
  await run.says(/reloading: \S*new\S* has changed/);
  await until(() => reloads() === 3, 'the end of it');
  fs.rmSync(path.join(directory, 'new/file.js'));
  await until(() => reloads() === 4, 'the removal');
  assert.doesNotMatch(run.stderr, /reloading: \S*(node_modules|hidden|swp)/);
  await stopped(run);
});

test('with --watch a program that does not start is tried again when it has changed', async () => {
  const port = await freePort();
  const directory = path.join(place, 'mended');
  fs.mkdirSync(directory);
  const script = path.join(directory, 'main.js');
  fs.writeFileSync(script, 'process.exit(1)');
  const run = start(['run', script, '-i', '1', '--watch', '--max-restarts', '1', '-n', 'mended', String(port)]);
  await run.says(/waiting for a file to change/);
  fs.writeFileSync(script, answers('"mended"'));
  await run.says(/listens/);
  assert.strictEqual(await get(port), 'mended');
  await stopped(run);
});
