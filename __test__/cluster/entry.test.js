'use strict';
// How a program comes by the cluster, and whose it is.

const assert = require('node:assert');
const { execFile } = require('node:child_process');
const { test } = require('node:test');
const { pathToFileURL } = require('node:url');
const path = require('node:path');
const { fixture, environment, REGISTER, ROOT, rsipc } = require('../helpers/modules.js');
const { leavesNothing } = require('../helpers/leavings.js');

leavesNothing();

const run = (args, extra) => new Promise((resolve, reject) => {
  execFile(process.execPath, [...args, fixture('cluster/which.mjs')], { env: environment(false, extra) }, (error, stdout) => (error ? reject(error) : resolve(JSON.parse(stdout))));
});

for (const [how, args] of [['-r', ['-r', REGISTER]], ['--import', ['--import', pathToFileURL(REGISTER).href]]]) {
  test(`with ${how} rsipc/register a primary has ours by require and import, and a worker Node's`, async () => {
    assert.deepStrictEqual(await run(args), {
      inPrimary: { import: true, named: true, require: true, one: true },
      inWorker: { isWorker: true, id: 1, ours: false },
    });
  });
}

test('without it, and with RSIPC_DISABLE=1, a primary has Node\'s', async () => {
  const plain = { import: false, named: true, require: false, one: true };
  assert.deepStrictEqual((await run([])).inPrimary, plain);
  assert.deepStrictEqual((await run(['-r', REGISTER], { RSIPC_DISABLE: '1' })).inPrimary, plain);
});

test('rsipc/cluster is rsipc\'s cluster, and leaves Node\'s as it is', async () => {
  const cluster = require(path.join(ROOT, 'cluster.js'));
  assert.strictEqual(cluster, rsipc.cluster);
  assert.notStrictEqual(cluster, require('node:cluster'));
  const named = await import(pathToFileURL(path.join(ROOT, 'cluster.mjs')).href);
  assert.strictEqual(named.default, cluster);
  assert.strictEqual(named.fork, cluster.fork);
});

test('it has every name that Node\'s has', () => {
  const names = Object.keys(require('node:cluster')).filter((name) => !name.startsWith('_'));
  assert.deepStrictEqual(names.filter((name) => !(name in rsipc.cluster)), []);
});
