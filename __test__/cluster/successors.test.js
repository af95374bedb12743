'use strict';
// A primary that takes the place of another one and does not make it: the other one has what it had, and this one may go on.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { test, after } = require('node:test');
const { get } = require('../helpers/cluster.js');
const { leavesNothing, stopped, temporary } = require('../helpers/leavings.js');
const primaries = require('../helpers/primaries.js');
const { until } = require('../helpers/wait.js');

const WORKERS = 2;

// A test that fails must not leave what it has started.
const started = [];
after(() => {
  for (const { child } of started) if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
});
leavesNothing();

const place = temporary();
process.env.RSIPC_RUN_DIR = path.join(place, 'run');

function start(name, args, { options = {}, settings = {}, variables = {}, ...rest } = {}) {
  const given = { TAKE_OVER: JSON.stringify(options), SETTINGS: JSON.stringify(settings), ...variables };
  const primary = primaries.start(name, WORKERS, args.map(String), { ...rest, variables: given });
  started.push(primary);
  return primary;
}

// One that is in its place, and all workers of which listen: as many are waited for when it is to be replaced.
async function first(...given) {
  const primary = start(...given);
  const { port } = await primary.says('listening');
  await until(() => primary.heard.filter(([what]) => what === 'listening').length === WORKERS, 'all workers listen');
  assert.strictEqual(await primary.says('before'), null);
  return { primary, port };
}

for (const scheduling of ['round-robin', 'shared']) {
  test(`a primary whose workers end when they listen leaves a UNIX socket where it is, with ${scheduling}`, async () => {
    const file = path.join(place, `${scheduling}.sock`);
    const { primary: old } = await first(scheduling, [file], { settings: { scheduling } });
    const { ino } = fs.statSync(file);
    const primary = start(scheduling, [file], { settings: { scheduling }, options: { drain: 100 }, variables: { WORKER: 'ends' } });
    assert.strictEqual((await primary.says('failed'))[0], 'ERR_RSIPC_WORKER_NOT_READY');
    await primary.ended;
    assert.strictEqual(fs.statSync(file).ino, ino);
    assert.strictEqual(await get(file), `${old.pid}`);
    await old.stop();
    assert.ok(!fs.existsSync(file));
  });
}

for (const scheduling of ['round-robin', 'shared']) {
  test(`a primary that is killed between the one before it and its own turn leaves that one to serve, with ${scheduling}`, async () => {
    const { primary: old, port } = await first(`turn-${scheduling}`, [0], { settings: { scheduling } });
    const primary = start(`turn-${scheduling}`, [0], { settings: { scheduling }, program: 'dies-before-it-accepts' });
    assert.deepStrictEqual(await primary.ended, [null, 'SIGKILL']);
    assert.match(await old.says('notReplaced'), /./);
    for (let asked = 0; asked < 10; asked++) assert.strictEqual(await get(port), `${old.pid}`);
    // And it can be replaced after that.
    const next = start(`turn-${scheduling}`, [0], { settings: { scheduling } });
    assert.deepStrictEqual(await next.says('before'), { pid: old.pid });
    assert.deepStrictEqual(await old.ended, [0, null]);
    assert.strictEqual(await get(port), `${next.pid}`);
    await next.stop();
  });
}

for (const [what, code] of [['does not answer', 'ERR_RSIPC_TIMEOUT'], ['does not make room', 'ERR_RSIPC_WORKER_NOT_READY']]) {
  test(`a primary goes on without a name when the one before it ${what}`, async () => {
    const { primary: old } = await first(code, [0]);
    const silent = code === 'ERR_RSIPC_TIMEOUT';
    if (silent) {
      old.child.kill('SIGSTOP');
      await stopped(old.pid);
    }
    const primary = start(code, [0], { options: { drain: 0, timeout: 300 }, variables: { WORKER: 'silent', GOES_ON: '1' } });
    assert.strictEqual((await primary.says('failed'))[0], code);
    const { port } = await primary.says('goes on');
    assert.strictEqual(await get(port), `${primary.pid}`);
    if (silent) old.child.kill('SIGCONT');
    await Promise.all([primary.stop(), old.stop()]);
  });
}
