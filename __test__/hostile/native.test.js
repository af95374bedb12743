'use strict';
// Every exported function of the addon, called with what nobody would pass: an exception each time,
// never an abort. In a process of its own, since some of it closes descriptors.

const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const path = require('node:path');
const { test } = require('node:test');
const rsipc = require('../../index.js');

test('no argument ends the process that gives it to the addon', () => {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [path.join(__dirname, 'fixtures', 'misuse.js')], { encoding: 'utf8', timeout: 60_000 });
  assert.strictEqual(signal, null, stderr);
  assert.strictEqual(status, 0, stderr);
  const { calls, functions } = JSON.parse(stdout);
  assert.ok(functions > 20, `${functions} functions`);
  assert.ok(calls > 2_000, `${calls} calls`);
  assert.ok(rsipc.version);
});
