'use strict';
// A run in the place of another one: from another terminal, and in the background.

const assert = require('node:assert');
const fs = require('node:fs');
const { test } = require('node:test');
const { alive, leavesNothing } = require('../helpers/leavings.js');
const { until } = require('../helpers/wait.js');
const { start, rsipc, status, program, freePort, get, started } = require('../helpers/run.js');

leavesNothing();

const answers = (text) => `require('node:http').createServer((request, response) => response.end(${text})).listen(Number(process.argv[2]), '127.0.0.1');`;

test('`run --replace` takes the place of a run: no request fails, the other one ends, and the name is the new one\'s', async () => {
  const port = await freePort();
  const script = program('replaced.js', answers('"old"'));
  const old = start(['run', script, '-i', '2', String(port), '-n', 'shop']);
  await old.says(/worker 2 \(pid \d+\) listens/);
  let going = true;
  const seen = new Set();
  const client = (async () => {
    while (going) seen.add(await get(port));
  })();
  fs.writeFileSync(script, answers('"new"'));
  const run = start(['run', script, '-i', '2', String(port), '-n', 'shop', '--replace']);
  await run.says(new RegExp(`in the place of pid ${old.child.pid}`));
  const { code, stderr } = await old.ended;
  assert.strictEqual(code, 0);
  assert.match(stderr, new RegExp(`replaced by pid ${run.child.pid}`));
  await until(() => seen.has('new'), 'an answer of the new run');
  going = false;
  await client;
  assert.deepStrictEqual([...seen], ['old', 'new']);
  assert.strictEqual((await status('shop')).pid, run.child.pid);
  run.child.kill('SIGTERM');
  assert.strictEqual((await run.ended).code, 0);
});

test('`run --replace` with a program that does not start leaves the other run, and its exit code is 1', async () => {
  const port = await freePort();
  const script = program('stays.js', answers('"stays"'));
  const old = start(['run', script, '-i', '1', String(port), '-n', 'stays']);
  await old.says(/listens/);
  fs.writeFileSync(script, 'process.exit(3)');
  const { code, stderr } = await rsipc('run', script, '-i', '1', String(port), '-n', 'stays', '--replace');
  assert.strictEqual(code, 1);
  assert.match(stderr, /has not become ready: it has exited \(code 3\)/);
  await old.says(/not replaced: .*code 3/);
  assert.strictEqual(await get(port), 'stays');
  assert.strictEqual((await status('stays')).pid, old.child.pid);
  old.child.kill('SIGTERM');
  assert.strictEqual((await old.ended).code, 0);
});

test('`run --replace` starts as usual where nothing of that name runs', async () => {
  const port = await freePort();
  const run = start(['run', program('alone.js', answers('"alone"')), '-i', '1', String(port), '-n', 'alone', '--replace']);
  await run.says(/listens/);
  assert.strictEqual(await get(port), 'alone');
  await until(async () => (await rsipc('ps', 'alone')).code === 0, 'its name');
  run.child.kill('SIGTERM');
  assert.strictEqual((await run.ended).code, 0);
});

test('`reload --primary` exchanges a run in the background, and refuses one in the foreground', async () => {
  const port = await freePort();
  const script = program('daemon.js', answers('process.env.SAYS'));
  const begun = await start(['run', script, '-i', '1', String(port), '-n', 'back', '--daemon'], { variables: { SAYS: 'one' } }).ended;
  assert.strictEqual(begun.code, 0, begun.stderr);
  const { pid } = await status('back');
  started.add(pid);
  assert.strictEqual(await get(port), 'one');
  const exchanged = await start(['reload', '--primary', 'back'], { variables: { SAYS: 'two' } }).ended;
  assert.strictEqual(exchanged.code, 0, exchanged.stderr);
  assert.match(exchanged.stdout, new RegExp(`back listens on 127.0.0.1:${port}`));
  await until(() => !alive(pid), 'the end of the old one');
  const next = await status('back');
  started.add(next.pid);
  assert.notStrictEqual(next.pid, pid);
  assert.strictEqual(await get(port), 'two');
  assert.strictEqual((await rsipc('stop', 'back')).code, 0);
  await until(() => !alive(next.pid), 'its end');

  const front = start(['run', script, '-i', '1', String(port), '-n', 'front'], { variables: { SAYS: 'three' } });
  await front.says(/listens/);
  const refused = await rsipc('reload', '--primary', 'front');
  assert.strictEqual(refused.code, 1);
  assert.match(refused.stderr, /runs in the foreground/);
  front.child.kill('SIGTERM');
  await front.ended;
});
