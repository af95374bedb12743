'use strict';
// Workers that die take no request with them that they had not begun with. The long run is kills.mjs by itself.

const assert = require('node:assert');
const { execFile } = require('node:child_process');
const path = require('node:path');
const { test } = require('node:test');
const { leavesNothing } = require('../helpers/leavings.js');
const { environment } = require('../helpers/modules.js');

leavesNothing();

for (const [how, kills, requests] of [['round-robin', 5, 1000], ['reuseport', 3, 500], ['threads', 3, 500], ['sticky', 3, 500]]) {
  test(`no request is lost while workers are killed at random, but what a program had begun: ${how}`, { skip: process.platform !== 'linux' }, async () => {
    const args = [path.join(__dirname, 'kills.mjs'), kills, requests, Date.now() % 2 ** 31, how].map(String);
    const [error, output] = await new Promise((resolve) => {
      execFile(process.execPath, args, { env: environment(false) }, (...all) => resolve([all[0], all[1] + all[2]]));
    });
    assert.strictEqual(error, null, output);
    assert.match(output, new RegExp(`^${requests} requests, ${kills} kills`, 'm'));
  });
}
