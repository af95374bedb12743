'use strict';
// The module under test and the one it is compared with, and how a child becomes an rsipc child.

const assert = require('node:assert');
const path = require('node:path');

// RSIPC_ENTRY: the package to test, when it is not the one around this file (an unpacked tarball, say).
const ROOT = path.resolve(process.env.RSIPC_ENTRY ?? path.join(__dirname, '../..'));
const REGISTER = path.join(ROOT, 'register.js');
const FIXTURES = path.resolve(__dirname, '../fixtures');
const ENTRY = path.join(ROOT, 'index.js');

const node = require('node:child_process');
const rsipc = require(ENTRY);

// Without its binding rsipc is Node's own module, and every comparison would hold for nothing.
assert.strictEqual(typeof require(path.join(ROOT, 'lib/binding.js')).Channel, 'function', 'rsipc has no native part: npm run build');

// The program `name` (`area/program`) among the fixtures, a `.js` unless it says otherwise.
const fixture = (name) => path.join(FIXTURES, path.extname(name) === '' ? `${name}.js` : name);

// The environment for children: without the test runner's own variables, and with rsipc loaded first
// when `ours`. NODE_OPTIONS rather than execArgv, which tests look at.
function environment(ours, extra = {}) {
  const env = { ...process.env };
  delete env.NODE_TEST_CONTEXT;
  delete env.NODE_V8_COVERAGE;
  if (ours) env.NODE_OPTIONS = `${env.NODE_OPTIONS ?? ''} --require=${JSON.stringify(REGISTER)}`.trim();
  return { ...env, ...extra };
}

module.exports = { node, rsipc, ROOT, ENTRY, REGISTER, fixture, environment };
