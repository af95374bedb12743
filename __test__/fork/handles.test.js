'use strict';
// Handles of all kinds, in both directions.

const { parity } = require('../helpers/parity.js');
const { leavesNothing } = require('../helpers/leavings.js');
const { KINDS, make, describe, take } = require('../helpers/handles.js');
const { happened } = require('../helpers/wait.js');

leavesNothing();

for (const kind of KINDS) {
  parity(`the child can use a ${kind} of the parent`, async (scene) => {
    const child = scene.fork('fork/take-handle');
    child.on('message', (message) => scene.note(message));
    const { handle, probe, done } = await make(kind);
    const told = happened(child, 'message');
    await new Promise((resolve) => {
      scene.note('sent', child.send({ about: kind }, handle, (error) => resolve(scene.note('callback', error))));
    });
    await told;
    scene.note('answer', await probe());
    await done?.();
    child.disconnect();
    await happened(child, 'exit');
  });

  parity(`the parent can use a ${kind} of the child`, async (scene) => {
    const child = scene.fork('fork/give-handle');
    let taken;
    child.on('message', (message, handle) => {
      scene.note(message, describe(handle));
      if (handle) taken = take(handle);
    });
    child.send(kind);
    await happened(child, 'exit');
    await taken;
  });
}

for (const kind of ['net.Socket', 'dgram.Socket']) {
  parity(`the child can use a ${kind} of the parent (advanced)`, async (scene) => {
    const child = scene.fork('fork/take-handle', [], { serialization: 'advanced' });
    child.on('message', (message) => scene.note(message));
    const { handle, probe, done } = await make(kind);
    const told = happened(child, 'message');
    child.send({ about: new Map([[kind, 1n]]) }, handle);
    await told;
    scene.note('answer', await probe());
    await done?.();
    child.disconnect();
    await happened(child, 'exit');
  });
}
