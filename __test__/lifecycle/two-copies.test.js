'use strict';
// Two copies of the package in one process, as two libraries may bring them along.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { execFile } = require('node:child_process');
const { test } = require('node:test');
const { fixture, environment, ROOT } = require('../helpers/modules.js');
const { leavesNothing, temporary } = require('../helpers/leavings.js');

leavesNothing();

function copy() {
  const directory = temporary();
  for (const name of ['package.json', 'index.js', 'index.mjs', 'register.js', 'lib']) fs.cpSync(path.join(ROOT, name), path.join(directory, name), { recursive: true });
  return directory;
}

test('two copies work side by side, in the parent and in the child', async () => {
  const stdout = await new Promise((resolve, reject) => execFile(process.execPath, [fixture('lifecycle/two-copies'), ROOT, copy()], { env: environment(false) }, (error, out) => (error ? reject(error) : resolve(out))));
  assert.deepStrictEqual(JSON.parse(stdout), { seen: ['one exit 0', 'one hello true true', 'two exit 0', 'two hello true true'], different: true });
});

test('a copy in a directory with another name of the same files works alone', async () => {
  const directory = copy();
  const stdout = await new Promise((resolve, reject) => execFile(process.execPath, [fixture('lifecycle/two-copies'), directory, ROOT], { env: environment(false) }, (error, out) => (error ? reject(error) : resolve(out))));
  assert.strictEqual(JSON.parse(stdout).different, true);
});
