'use strict';
// Every exported function of the addon, called with what nobody would pass: an exception each time,
// never an abort. In a process of its own, since some of it closes descriptors.

const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const rsipc = require('../../index.js');

test('no argument ends the process that gives it to the addon', (t) => {
  // Some of the arguments are good names for objects.
  const run = fs.mkdtempSync(path.join(os.tmpdir(), `rsipc-test-${process.pid}-`));
  t.after(() => fs.rmSync(run, { recursive: true, force: true }));
  const env = { ...process.env, RSIPC_RUN_DIR: run };
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [path.join(__dirname, 'fixtures', 'misuse.js')], { encoding: 'utf8', timeout: 60_000, env });
  assert.strictEqual(signal, null, stderr);
  assert.strictEqual(status, 0, stderr);
  const { calls, functions } = JSON.parse(stdout);
  assert.ok(functions > 20, `${functions} functions`);
  assert.ok(calls > 2_000, `${calls} calls`);
  assert.ok(rsipc.version);
});
