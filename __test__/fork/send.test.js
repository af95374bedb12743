'use strict';
// What `send` accepts, returns and throws, and when it calls back.

const { parity } = require('../helpers/parity.js');
const { leavesNothing } = require('../helpers/leavings.js');
const { outcome } = require('../helpers/show.js');
const { happened, barrier } = require('../helpers/wait.js');
const { cases } = require('../fixtures/fork/send-cases.js');

leavesNothing();

for (const serialization of ['json', 'advanced']) {
  parity(`the parent's send treats every argument as Node does (${serialization})`, async (scene) => {
    const child = scene.fork('fork/show', [], { serialization });
    for (const [name, call] of cases()) scene.note(name, outcome(() => call(child)));
    child.send('the end');
    child.on('message', ({ shown }) => {
      scene.note('arrived', shown);
      if (shown === 'the end') child.disconnect();
    });
    await happened(child, 'exit');
  }, { ends: 'parent' });

  parity(`the child's send treats every argument as Node does (${serialization})`, async (scene) => {
    const child = scene.fork('fork/send-cases-child', [], { serialization, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    child.on('message', (message) => {
      if (message !== null && typeof message === 'object' && message.went) for (const line of message.went) scene.note(line);
      else scene.note('arrived', message);
    });
    await happened(child, 'close');
  });
}

parity('the functions of a channel are named and counted as Node\'s are', async (scene) => {
  const child = scene.fork('fork/stay');
  for (const name of ['send', '_send', 'disconnect', '_disconnect']) scene.note(name, child[name].name, child[name].length, Object.hasOwn(child, name));
  child.disconnect();
  await happened(child, 'exit');
}, { ends: 'parent' });

parity('a small message is written at once and its callback is called in the next tick with null', async (scene) => {
  const child = scene.fork('fork/echo', [], { transport: 'auto' }); // a question to it would be written first
  Promise.resolve().then(() => scene.note('promise'));
  process.nextTick(() => scene.note('tick before'));
  scene.note('returned', child.send('a', (error) => scene.note('callback a', error)));
  process.nextTick(() => scene.note('tick after'));
  setImmediate(() => scene.note('immediate'));
  await happened(child, 'message');
  child.disconnect();
  await happened(child, 'exit');
}, { ends: 'parent' });

parity('callbacks are called in the order of their messages', async (scene) => {
  const child = scene.fork('fork/stay');
  const order = [];
  await new Promise((resolve) => {
    for (let i = 0; i < 50; i++) child.send({ i, pad: 'x'.repeat(i % 10 === 0 ? 30_000 : 10) }, () => {
      order.push(i);
      if (order.length === 50) resolve();
    });
  });
  scene.note(order);
  child.disconnect();
  await happened(child, 'exit');
}, { ends: 'parent' });

parity('a message larger than the socket takes is called back after the tick', async (scene) => {
  const child = scene.fork('fork/stay');
  const done = new Promise((resolve) => {
    scene.note('sent', typeof child.send('x'.repeat(5_000_000), (error) => {
      scene.note('callback', error);
      resolve();
    }));
  });
  process.nextTick(() => scene.note('tick'));
  Promise.resolve().then(() => scene.note('promise'));
  await done;
  child.disconnect();
  await happened(child, 'exit');
}, { ends: 'parent' });

parity('a callback in the third or the fourth place is called with null', async (scene) => {
  const child = scene.fork('fork/stay');
  await new Promise((resolve) => child.send(1, (...values) => resolve(scene.note('second', values))));
  await new Promise((resolve) => child.send(2, undefined, (...values) => resolve(scene.note('third', values))));
  await new Promise((resolve) => child.send(3, undefined, {}, (...values) => resolve(scene.note('fourth', values))));
  child.disconnect();
  await happened(child, 'exit');
}, { ends: 'parent' });

parity('after disconnect() send returns false and says why in the next tick', async (scene) => {
  const child = scene.record(scene.fork('fork/ready'));
  await happened(child, 'message');
  child.disconnect();
  scene.note('without', child.send('late'));
  scene.note('with', child.send('late', (error) => scene.note('callback', error)));
  scene.note('undefined', outcome(() => child.send(undefined)));
  scene.note('bad options', outcome(() => child.send('x', undefined, 5)));
  scene.note('synchronous part over');
  await happened(child, 'exit');
  await barrier();
});

parity('a message sent in the tick in which the child is killed is nobody\'s error', async (scene) => {
  const child = scene.record(scene.fork('fork/ready'));
  await happened(child, 'message');
  child.kill('SIGKILL');
  // Whether the kernel has ended the child by then is a race: the send may still be taken.
  scene.note('sent', child.send('x', (error) => scene.note('called back with null or EPIPE', error === null || error.code === 'EPIPE')));
  await happened(child, 'close');
}, { ends: 'parent' });

parity('messages of both sides cross without loss', async (scene) => {
  const child = scene.fork('fork/echo');
  const got = [];
  const all = new Promise((resolve) => child.on('message', (message) => {
    got.push(message.i);
    if (got.length === 2_000) resolve();
  }));
  for (let i = 0; i < 2_000; i++) child.send({ i, text: 'pad'.repeat(i % 7) });
  await all;
  scene.note(got.every((value, index) => value === index));
  child.disconnect();
  await happened(child, 'exit');
});
