'use strict';
// What becomes of every kind of value on its way, in both serializations and both directions.

const { parity } = require('../helpers/parity.js');
const { leavesNothing } = require('../helpers/leavings.js');
const { outcome, show } = require('../helpers/show.js');
const { happened } = require('../helpers/wait.js');
const { values } = require('../fixtures/fork/value-table.js');

leavesNothing();

for (const serialization of ['json', 'advanced']) {
  parity(`values reach the child as they do under Node (${serialization})`, async (scene) => {
    const child = scene.fork('fork/show', [], { serialization });
    let expected = 0;
    let arrived = 0;
    child.on('message', ({ shown }) => {
      scene.note('arrived', shown);
      if (++arrived === expected) child.disconnect();
    });
    for (const [name, value] of values()) {
      const went = outcome(() => child.send({ name, value }));
      scene.note(name, went.replace(/^returned .*/, 'returned'));
      if (went.startsWith('returned')) expected++;
    }
    await happened(child, 'exit');
    scene.note(arrived === expected);
  });

  parity(`values reach the parent as they do under Node (${serialization})`, async (scene) => {
    const child = scene.fork('fork/values', [], { serialization });
    child.on('message', (message) => scene.note(show(message)));
    await happened(child, 'close');
  });

  parity(`a message of 10 MB arrives whole in both directions (${serialization})`, async (scene) => {
    const child = scene.fork('fork/echo', [], { serialization });
    const text = 'ä1'.repeat(3_300_000);
    child.send({ text });
    const [back] = await happened(child, 'message');
    scene.note(back.text === text, back.text.length);
    child.disconnect();
    await happened(child, 'exit');
  });
}

parity('a Buffer of 10 MB arrives whole in both directions (advanced)', async (scene) => {
  const child = scene.fork('fork/echo', [], { serialization: 'advanced' });
  const bytes = Buffer.alloc(10_000_000, 'pattern');
  child.send({ bytes });
  const [back] = await happened(child, 'message');
  scene.note(Buffer.isBuffer(back.bytes), back.bytes.equals(bytes));
  child.disconnect();
  await happened(child, 'exit');
});
