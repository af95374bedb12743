'use strict';
// Where the loop is not libuv a thread watches the channel: Bun and Deno, and here by a variable.

process.env.RSIPC_NO_LIBUV = '1';
const assert = require('node:assert');
const { test } = require('node:test');
const { ROOT } = require('../helpers/modules.js');
delete process.env.RSIPC_NO_LIBUV;
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, barrier, until } = require('../helpers/wait.js');
const { withChild } = require('../helpers/with-child.js');
const { kLink } = require(`${ROOT}/lib/fork/attach.js`);

leavesNothing();

test('a channel that is not read is left alone until it is, or ends', () => withChild(async (child) => {
  const { native } = child[kLink];
  let turns = 0;
  child.channel.unref();
  native.turn = (events) => {
    turns++;
    return Object.getPrototypeOf(native).turn.call(native, events);
  };
  await until(() => child[kLink].pace.isPaused, 'the pause');
  await barrier();
  const before = turns;
  for (let i = 0; i < 3; i++) await barrier();
  assert.strictEqual(turns - before, 0);
  child.kill('SIGKILL');
  await happened(child, 'disconnect');
  const got = [];
  child.on('message', (n) => got.push(n));
  await barrier();
  assert.ok(got.length > 1);
  assert.deepStrictEqual(got, Array.from(got, (_, index) => index + 1));
}, { program: 'fork/say-then-stay', args: ['100000'], maxEarlyBytes: 1, transport: 'socket' }));
