'use strict';
// Parents and children that are killed while both flood each other through shared memory. That a kill at each
// single step of a write does no harm is shown by crates/core/tests/lane_kills.rs.

const assert = require('node:assert');
const readline = require('node:readline');
const { test } = require('node:test');
const { rsipc, fixture, environment } = require('../helpers/modules.js');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, within } = require('../helpers/wait.js');

leavesNothing();

const ROUNDS = 5;

// Starts two rivals, kills the `victim` of them within `milliseconds`, and answers what the other one says.
async function survive(victim, serialization, milliseconds) {
  const parent = rsipc.spawn(process.execPath, [fixture('ring/rivals'), 'parent', serialization], { stdio: ['ignore', 'pipe', 'inherit'], env: environment(false) });
  const closed = happened(parent, 'close');
  const lines = readline.createInterface({ input: parent.stdout })[Symbol.asyncIterator]();
  const line = async () => JSON.parse((await lines.next()).value);
  const { pids } = await line();
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  process.kill(pids[victim], 'SIGKILL');
  const said = await line();
  await closed; // nobody has the stdout any more: both are gone
  return said;
}

for (const victim of ['parent', 'child']) {
  for (const serialization of ['json', 'advanced']) {
    test(`a killed ${victim} leaves whole messages in order, and its end is heard (${serialization})`, async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const { survivor, got, fault, problems } = await within(survive(victim, serialization, Math.random() * 40), `round ${round}`);
        assert.notStrictEqual(survivor, victim);
        assert.strictEqual(fault, null);
        if (survivor === 'parent') assert.ok(got >= 1_000, `${got} messages`);
        // A message that was half written is told as what it is, and never as a message.
        assert.ok(problems.every((code) => code === 'ERR_RSIPC_TRUNCATED') && problems.length <= 1, problems.join());
      }
    });
  }
}
