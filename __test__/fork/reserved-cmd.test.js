'use strict';
// Node keeps messages whose `cmd` begins with NODE_ for itself; who sends one is told, once.

const assert = require('node:assert');
const { execFile } = require('node:child_process');
const { test } = require('node:test');
const { fixture, environment } = require('../helpers/modules.js');
const { leavesNothing } = require('../helpers/leavings.js');

leavesNothing();

test('the first such message of a process is a warning, the next is not', async () => {
  const [stdout] = await new Promise((resolve, reject) => execFile(process.execPath, [fixture('fork/reserved')], { env: environment(false) }, (error, ...out) => (error ? reject(error) : resolve(out))));
  assert.deepStrictEqual(JSON.parse(stdout), ['RSIPC_RESERVED_CMD']);
});
