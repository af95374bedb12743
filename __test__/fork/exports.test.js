'use strict';
// Replacing the module's name is the whole migration: what node:child_process exports, rsipc exports.

const assert = require('node:assert');
const { test } = require('node:test');
const { pathToFileURL } = require('node:url');
const path = require('node:path');
const { node, rsipc, ROOT } = require('../helpers/modules.js');
const { leavesNothing } = require('../helpers/leavings.js');

leavesNothing();

const OURS = new Set(['fork', 'spawn']);

test('every export of node:child_process is an export of rsipc', () => {
  assert.deepStrictEqual(Object.keys(node).filter((name) => !(name in rsipc)), []);
});

test('everything but fork and spawn is Node\'s own function', () => {
  for (const name of Object.keys(node)) {
    if (OURS.has(name)) assert.notStrictEqual(rsipc[name], node[name], name);
    else assert.strictEqual(rsipc[name], node[name], name);
  }
});

test('fork and spawn have the name and the length of Node\'s', () => {
  for (const name of OURS) {
    assert.strictEqual(rsipc[name].name, node[name].name);
    assert.strictEqual(rsipc[name].length, node[name].length);
  }
});

test('node:child_process itself is left as it was', () => {
  assert.strictEqual(require('node:child_process').fork, node.fork);
  assert.doesNotMatch(String(node.ChildProcess.prototype.spawn), /ipcIndex|nodeSpawn/);
});

test('import gives the same functions by name and as the default', async () => {
  const module = await import(pathToFileURL(path.join(ROOT, 'index.mjs')));
  assert.strictEqual(module.default, rsipc);
  for (const name of Object.keys(rsipc)) assert.strictEqual(module[name], rsipc[name], name);
});

test('a process without a parent channel has no rsipc.parent', () => {
  const { execFileSync } = require('node:child_process');
  const { environment } = require('../helpers/modules.js');
  const out = execFileSync(process.execPath, ['-p', `typeof require(${JSON.stringify(ROOT)}).parent`], { env: environment(false) });
  assert.strictEqual(String(out).trim(), 'undefined');
});
