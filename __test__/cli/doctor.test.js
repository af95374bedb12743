'use strict';
// `rsipc doctor`.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { leavesNothing } = require('../helpers/leavings.js');
const { CLI, start, rsipc: command, place, env } = require('../helpers/run.js');

leavesNothing();

const states = (found) => Object.fromEntries(found.map(({ what, state }) => [what, state]));

test('where all is well every line says so, and nothing is left', async () => {
  const { code, stdout, stderr } = await command('doctor');
  assert.deepStrictEqual([code, stderr], [0, '']);
  const lines = stdout.split('\n').slice(0, -1);
  assert.deepStrictEqual(lines.filter((line) => !/^(ok|note) /.test(line)), []);
  for (const what of ['system', 'node', 'binary', 'fork', 'servers', 'shared memory', 'run directory', 'left behind']) {
    assert.ok(lines.some((line) => line.includes(` ${what} `)), `${what} is told`);
  }
  const found = JSON.parse((await command('doctor', '--json')).stdout);
  assert.match(found.find(({ what }) => what === 'fork').text, /through shared memory$/);
  assert.strictEqual(found.find(({ what }) => what === 'left behind').text, 'nothing');
  assert.match(found.find(({ what }) => what === 'environment').text, /RSIPC_RUN_DIR=/);
});

test('what does not work is told with its reason, the rest is tried, and the exit code is 1', async () => {
  const { code, stdout } = await start(['doctor', '--json'], { variables: { RSIPC_RUN_DIR: '/proc/none' } }).ended;
  assert.strictEqual(code, 1);
  const found = JSON.parse(stdout);
  const { fork, servers, 'shared memory': memory, 'run directory': directory } = states(found);
  assert.deepStrictEqual({ fork, servers, memory, directory }, { fork: 'ok', servers: 'fail', memory: 'fail', directory: 'fail' });
  assert.match(found.find(({ what }) => what === 'run directory').text, /\/proc\/none/);
});

test('a binary that is not loaded is told', async () => {
  const { code, stdout } = await start(['doctor', '--json'], { command: [process.execPath, '--no-addons', CLI] }).ended;
  assert.deepStrictEqual([code, states(JSON.parse(stdout)).binary], [1, 'fail']);
});

test('what a killed run has left is told until it is cleaned up', async () => {
  const script = path.join(place, 'left.js');
  fs.writeFileSync(script, 'require(\'node:net\').createServer().listen(0);');
  const run = start(['run', script, '-i', '1', '--name', 'left']);
  await run.says(/listens on/);
  run.child.kill('SIGKILL');
  await run.ended;
  const text = async () => JSON.parse((await command('doctor', '--json')).stdout).find(({ what }) => what === 'left behind').text;
  assert.match(await text(), /1 socket of killed runs.*: rsipc clean$/);
  await command('clean');
  assert.strictEqual(await text(), 'nothing');
});

test('few descriptors, and a switched off register, are noted', async () => {
  const command_ = ['sh', '-c', `ulimit -n 100; exec "${process.execPath}" "${CLI}" "$@"`, 'sh'];
  const { code, stdout } = await start(['doctor', '--json'], { command: command_, variables: { RSIPC_DISABLE: '1' } }).ended;
  const { limits, environment } = states(JSON.parse(stdout));
  assert.deepStrictEqual([code, limits, environment], [0, 'note', 'note']);
  assert.ok(env.RSIPC_RUN_DIR.startsWith(place));
});
