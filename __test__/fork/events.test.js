'use strict';
// Which events a ChildProcess emits, and in which order.

const fs = require('node:fs');
const { parity, beyond } = require('../helpers/parity.js');
const { leavesNothing, alive } = require('../helpers/leavings.js');
const { happened, barrier, until } = require('../helpers/wait.js');
const assert = require('node:assert');

leavesNothing();

// Blocks this thread until `pid` has ended: everything it sent is then with the kernel, and what
// follows is read in one go.
function blockUntilEnded(pid) {
  const end = Date.now() + 60_000;
  while (alive(pid)) {
    if (Date.now() > end) throw new Error('the child does not end');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
  }
}

parity('messages come before disconnect, exit and close when the child ends by itself', async (scene) => {
  const child = scene.record(scene.fork('fork/say', ['3']));
  await happened(child, 'close');
});

parity('messages come before disconnect, exit and close when the child calls process.exit', async (scene) => {
  const child = scene.record(scene.fork('fork/say-and-exit', ['5', '7']));
  await happened(child, 'close');
});

parity('a child that ended while nobody was looking has the same events', async (scene) => {
  const child = scene.record(scene.fork('fork/say-and-exit', ['5', '7']));
  blockUntilEnded(child.pid);
  await happened(child, 'close');
});

parity('a killed child has disconnect, exit with the signal, close', async (scene) => {
  const child = scene.record(scene.fork('fork/ready'));
  await happened(child, 'message');
  scene.note(child.kill('SIGKILL'), child.killed);
  await happened(child, 'close');
  scene.note(child.exitCode, child.signalCode, child.connected, child.killed);
});

parity('after the parent\'s disconnect() there is disconnect and exit, and no close', async (scene) => {
  const child = scene.record(scene.fork('fork/ready'));
  await happened(child, 'message');
  child.disconnect();
  await happened(child, 'exit');
  await barrier();
});

parity('a child that disconnects itself has disconnect before exit', async (scene) => {
  const child = scene.record(scene.fork('fork/disconnect', [], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] }));
  let said = '';
  child.stdout.on('data', (piece) => { said += piece; });
  await happened(child, 'close');
  scene.note(said);
});

parity('a grandchild that holds the channel holds back close and disconnect, not exit', async (scene) => {
  const child = scene.record(scene.fork('fork/grandchild'), ['message']);
  const [{ heir }] = await happened(child, 'message');
  await scene.ended(child);
  await barrier();
  scene.note('still connected', child.connected);
  process.kill(heir, 'SIGKILL');
  await happened(child, 'disconnect');
  await barrier();
}, { ordered: true });

parity('a program that does not exist is an error, close and disconnect', async (scene) => {
  const child = scene.record(scene.fork('fork/say', [], { execPath: '/nowhere/no-such-program' }));
  scene.note(typeof child.pid, child.connected, child.channel === null, child.exitCode);
  scene.note('sent', child.send('x'));
  child.send('y', (error) => scene.note('callback', error));
  await happened(child, 'disconnect');
  await barrier();
  scene.note(child.connected, child.channel, child.exitCode, child.signalCode, child.spawnfile);
}, { ends: 'parent' });

parity('a program that may not be executed is an error', async (scene) => {
  const child = scene.record(scene.fork('fork/say', [], { execPath: __filename }));
  child.on('error', () => scene.note('in error', child.connected));
  await happened(child, 'disconnect');
  await barrier();
}, { ends: 'parent' });

parity('a working directory that does not exist is an error', async (scene) => {
  const child = scene.record(scene.fork('fork/say', [], { cwd: '/nowhere/at/all' }));
  await happened(child, 'disconnect');
  await barrier();
}, { ends: 'parent' });

parity('spawn is emitted after the call and before any message', async (scene) => {
  const child = scene.record(scene.fork('fork/say', ['1']));
  scene.note('returned');
  process.nextTick(() => scene.note('tick'));
  await happened(child, 'close');
});

parity('a listener that disconnects still gets the rest of what was read with its message', async (scene) => {
  const child = scene.record(scene.fork('fork/say-and-exit', ['5']));
  child.once('message', () => {
    child.disconnect();
    scene.note('disconnected', child.connected, child.channel === null);
  });
  blockUntilEnded(child.pid);
  await happened(child, 'exit');
  await barrier();
});

parity('each message has a tick of its own, with promises after the last', async (scene) => {
  const child = scene.fork('fork/say-and-exit', ['3']);
  child.on('message', (message) => {
    scene.note('message', message);
    process.nextTick(() => scene.note('tick of', message));
    Promise.resolve().then(() => scene.note('promise of', message));
  });
  blockUntilEnded(child.pid);
  await happened(child, 'close');
});

parity('a throwing listener in the child costs no other message', async (scene) => {
  const child = scene.fork('fork/throwing-listener');
  for (let i = 1; i <= 6; i++) child.send(i);
  child.send('end');
  const [got] = await happened(child, 'message');
  scene.note(got.filter((entry) => typeof entry === 'number'), got.filter((entry) => typeof entry === 'string').sort());
  await happened(child, 'close');
});

parity('internal messages reach internalMessage and nobody else', async (scene) => {
  const child = scene.record(scene.fork('fork/echo'));
  child.on('internalMessage', (message) => scene.note('internal', message));
  child.send({ cmd: 'NODE_' });
  child.send({ cmd: 'NODE' });
  child.send('end');
  child.on('message', (message) => {
    if (message === 'end') child.disconnect();
  });
  await happened(child, 'exit');
});

parity('a child without a listener for what it is sent ends, and nothing is emitted for it', async (scene) => {
  const child = scene.record(scene.fork('fork/say', ['1']));
  child.send('nobody reads this');
  await happened(child, 'close');
}, { ends: 'both' });

beyond('exit waits until everything the child sent has been given out', async (scene) => {
  const child = scene.fork('fork/say', ['20000']);
  let count = 0;
  const order = [];
  child.on('message', ({ n }) => {
    assert.strictEqual(n, ++count);
    order.push('message');
  });
  for (const event of ['disconnect', 'exit', 'close']) child.on(event, () => order.push(event));
  await happened(child, 'close');
  assert.strictEqual(count, 20_000);
  assert.deepStrictEqual(order.slice(20_000), ['disconnect', 'exit', 'close']);
});

beyond('the descriptor of the channel is closed when the child has ended', async (scene) => {
  const child = scene.fork('fork/say', ['1']);
  const { fd } = child.channel;
  assert.match(fs.readlinkSync(`/proc/self/fd/${fd}`), /^socket:/);
  const name = fs.readlinkSync(`/proc/self/fd/${fd}`);
  await happened(child, 'close');
  await until(() => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${fd}`) !== name;
    } catch {
      return true;
    }
  }, 'the descriptor to be closed');
});

// Under Node each of these comes in a turn of the loop of its own.
beyond('who awaits a message, the end of the channel and the exit has each, though all are there at once', async (scene) => {
  const child = scene.fork('fork/say-and-exit', ['3', '7']);
  blockUntilEnded(child.pid);
  const seen = [];
  for (const event of ['message', 'disconnect', 'exit']) seen.push([event, ...await happened(child, event)]);
  assert.deepStrictEqual(seen, [['message', 1, undefined], ['disconnect'], ['exit', 7, null]]);
});
