'use strict';
// Order across the move into shared memory; order.mjs does it by the million.

const assert = require('node:assert');
const path = require('node:path');
const { execFile } = require('node:child_process');
const { test } = require('node:test');
const { leavesNothing } = require('../helpers/leavings.js');

leavesNothing();

test('10,000 messages each way with 30 handles arrive in order and once, while the channel goes over into shared memory', async () => {
  const output = await new Promise((resolve, reject) => {
    execFile(process.execPath, [path.join(__dirname, 'order.mjs'), '10000', '30'], (error, stdout) => {
      if (error) reject(new Error(stdout, { cause: error }));
      else resolve(stdout);
    });
  });
  const runs = output.trim().split('\n');
  assert.strictEqual(runs.length, 4, output);
  for (const run of runs) assert.match(run, /10000 and 10000 of 10000 in order, .* 0 faults$/);
});
