'use strict';
// dieWithParent: the child does not outlive a parent that was killed.

const assert = require('node:assert');
const { spawn } = require('node:child_process');
const { test } = require('node:test');
const { fixture, environment } = require('../helpers/modules.js');
const { leavesNothing, alive } = require('../helpers/leavings.js');
const { happened, until, barrier } = require('../helpers/wait.js');

leavesNothing();

async function orphan(options) {
  const parent = spawn(process.execPath, [fixture('lifecycle/orphan-maker'), JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'inherit'], env: environment(false) });
  const [line] = await happened(parent.stdout, 'data');
  const exited = happened(parent, 'exit');
  return { seen: JSON.parse(line), async kill() {
    parent.kill('SIGKILL');
    await exited;
    parent.stdout.destroy();
  } };
}

test('a child with dieWithParent dies when its parent is killed', async () => {
  const { seen, kill } = await orphan({ dieWithParent: true });
  assert.strictEqual(alive(seen.pid), true);
  await kill();
  await until(() => !alive(seen.pid), 'the child to die');
});

test('a child without it lives on', async () => {
  const { seen, kill } = await orphan({});
  await kill();
  await barrier();
  await barrier();
  assert.strictEqual(alive(seen.pid), true);
  process.kill(seen.pid, 'SIGKILL');
  await until(() => !alive(seen.pid), 'the child to die');
});

test('neither the child nor spawnargs show how it is done', async () => {
  const { seen, kill } = await orphan({ dieWithParent: true, execArgv: ['--no-warnings'] });
  assert.deepStrictEqual(seen.execArgv, ['--no-warnings']);
  assert.deepStrictEqual(seen.args, ['arg']);
  assert.deepStrictEqual(seen.variables, []);
  assert.deepStrictEqual(seen.spawnargs.slice(1), ['--no-warnings', fixture('lifecycle/outlives'), 'arg']);
  await kill();
  await until(() => !alive(seen.pid), 'the child to die');
});
