'use strict';
// fork() in a process that has no descriptor left, or just a few.

const { execFile } = require('node:child_process');
const assert = require('node:assert');
const { parity, beyond } = require('../helpers/parity.js');
const { leavesNothing } = require('../helpers/leavings.js');
const { fixture, ENTRY, node } = require('../helpers/modules.js');

leavesNothing();

async function fork(scene, free) {
  const stdout = await new Promise((resolve, reject) => execFile('sh', ['-c', 'ulimit -n 80; exec "$0" "$@"', process.execPath, fixture('lifecycle/few-descriptors'), String(free)],
    { env: scene.env({ RSIPC_TEST_MODULE: scene.cp === node ? 'node:child_process' : ENTRY }) }, (error, out) => (error ? reject(error) : resolve(out))));
  for (const line of JSON.parse(stdout)) scene.note(line);
}

for (const free of [0, 1]) {
  parity(`fork with ${free} free descriptors comes to what it does under Node`, (scene) => fork(scene, free), { ends: 'parent' });
}

// Where exactly it begins to work is each one's own affair.
for (const free of [2, 3, 4, 5]) {
  beyond(`fork with ${free} free descriptors works or is an error event, never an exception`, async (scene) => {
    await fork(scene, free);
    const [first, second] = scene.trace;
    if (first.startsWith('undefined')) assert.match(second, /^error .*EMFILE/);
    else assert.deepStrictEqual(scene.trace.slice(1), ['spawn', 'message { n: 1 } undefined', 'disconnect', 'exit 0 null', 'close 0 null']);
  }, { child: 'plain' });
}
