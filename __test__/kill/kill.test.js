'use strict';
// Children and parents that are killed at random moments, a few of each; kill.mjs does it by the thousand.

const assert = require('node:assert');
const { test, before, after } = require('node:test');
const { kill, connections, random } = require('./traffic.js');
const { killParents } = require('./orphans.js');
const { opened, settles, until, Witness } = require('../hostile/ledger.js');

let witness;
let shared;
let open;

before(async () => {
  witness = new Witness();
  await witness.check();
  shared = await connections();
  open = await opened();
});

after(async () => {
  shared.close();
  await witness.end();
});

test('twenty children killed under traffic: every promise is kept once, nothing stays open, others are served', async () => {
  const seed = Date.now() % 2 ** 31;
  let number = 0;
  let promises = 0;
  await Promise.all(Array.from({ length: 2 }, async () => {
    while (number < 20) {
      const mine = number++;
      const { promised, seen } = await kill(shared, random(seed + 2_654_435_761 * mine), { longest: 150 });
      await until(() => promised.kept >= promised.made, `${promised.made} promises of child ${mine}, seed ${seed}`, 5_000);
      assert.strictEqual(promised.twice, 0);
      assert.deepStrictEqual([seen.exit, seen.disconnect, seen.close], [1, 1, 1], `child ${mine}, seed ${seed}`);
      promises += promised.made;
      await witness.check();
    }
  }));
  assert.ok(promises > 200, `${promises} promises`);
  await settles(open);
});

test('children that are to die with their parent do, whenever it is killed', { skip: process.platform !== 'linux' && 'only Linux shows the environment of other processes' }, async () => {
  const { killed, forked, orphans } = await killParents(6, random(Date.now()));
  assert.strictEqual(killed, 6);
  assert.ok(forked > 0, 'children were there');
  assert.strictEqual(orphans, 0);
});
