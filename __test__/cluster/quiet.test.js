'use strict';
// What a primary does while nobody connects: nothing.

const assert = require('node:assert');
const fs = require('node:fs');
const { test, afterEach } = require('node:test');
const { workers, end, get } = require('../helpers/cluster.js');
const { leavesNothing } = require('../helpers/leavings.js');
const { until } = require('../helpers/wait.js');

leavesNothing();
afterEach(end);

const LOOKS = 100; // of 5 ms in a row that find the same number: a thread that looks for something eight times a second has several

// How often the primary's thread has slept.
function sleeps() {
  const task = fs.readdirSync('/proc/self/task').find((each) => fs.readFileSync(`/proc/self/task/${each}/comm`, 'utf8') === 'rsipc-io\n');
  return Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(fs.readFileSync(`/proc/self/task/${task}/status`, 'utf8'))[1]);
}

for (const scheduling of ['round-robin', 'reuseport']) {
  test(`the thread of a primary sleeps while nobody connects, with ${scheduling}`, { skip: process.platform !== 'linux' }, async () => {
    const { port } = await workers('say-id', 2, { scheduling });
    for (let asked = 0; asked < 3; asked++) assert.match(await get(port), /^\d+$/);
    let before;
    let same = 0;
    await until(() => {
      const now = sleeps();
      same = now === before ? same + 1 : 0;
      before = now;
      return same === LOOKS;
    }, 'a thread that sleeps');
    assert.match(await get(port), /^\d+$/);
  });
}
