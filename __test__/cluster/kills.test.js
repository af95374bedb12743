'use strict';
// Workers that die take no request with them that they had not begun with. The long run is kills.mjs by itself.

const assert = require('node:assert');
const { execFile } = require('node:child_process');
const path = require('node:path');
const { test } = require('node:test');
const { leavesNothing } = require('../helpers/leavings.js');
const { environment } = require('../helpers/modules.js');

leavesNothing();

test('no request is lost while workers are killed at random, but what a program had begun', { skip: process.platform !== 'linux' }, async () => {
  const [error, output] = await new Promise((resolve) => {
    execFile(process.execPath, [path.join(__dirname, 'kills.mjs'), '5', '1000'], { env: environment(false) }, (...all) => resolve([all[0], all[1] + all[2]]));
  });
  assert.strictEqual(error, null, output);
  assert.match(output, /^1000 requests, 5 kills.*\n.*\n0 lost$/m);
});
