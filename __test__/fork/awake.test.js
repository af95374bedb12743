'use strict';
// Two ends that answer each other at once do not sleep in between. Nothing else of the program may wait for them.

const assert = require('node:assert');
const net = require('node:net');
const { test } = require('node:test');
const { leavesNothing } = require('../helpers/leavings.js');
const { rsipc, fixture } = require('../helpers/modules.js');
const { happened, until } = require('../helpers/wait.js');

leavesNothing();

const MANY = 10;
const linux = { skip: process.platform !== 'linux' };
const quiet = { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] };

// Calls `use` with children that send back what they get, through shared memory.
async function withEchoes(options, use) {
  const children = options.map((more) => rsipc.fork(fixture('fork/echo'), [], { ...quiet, transport: 'ring', ...more }));
  try {
    for (const child of children) {
      child.send({ first: true });
      await happened(child, 'message');
      await until(() => child.channel.transport === 'ring', 'the channel to leave the socket');
    }
    await use(...children);
  } finally {
    for (const child of children) {
      child.disconnect();
      await happened(child, 'exit');
    }
  }
}

// Sends each number when the last one has come back, until told to stop.
function pingPong(child) {
  const state = { trips: 0, wrong: 0, over: false };
  child.on('message', ({ number }) => {
    if (number !== state.trips) state.wrong++;
    state.trips++;
    if (!state.over) child.send({ number: state.trips });
  });
  child.send({ number: 0 });
  return state;
}

test('a channel that is always answered at once leaves timers, sockets and other channels their turns', linux, () => withEchoes([{ spin: 10_000 }, {}], async (busy, other) => {
  const server = net.createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
  await happened(server, 'listening');
  const socket = net.connect(server.address().port, '127.0.0.1');
  const state = pingPong(busy);
  for (let i = 0; i < MANY; i++) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    await new Promise(setImmediate);
    socket.write('x');
    await happened(socket, 'data');
    other.send({ i });
    assert.deepStrictEqual((await happened(other, 'message'))[0], { i });
  }
  const { trips } = state;
  await until(() => state.trips > trips, 'another round trip');
  state.over = true;
  assert.strictEqual(state.wrong, 0);
  socket.destroy();
  server.close();
}));

for (const spin of [0, 10_000]) {
  test(`an end with spin: ${spin} hears of what comes while its reader takes its time`, linux, () => withEchoes([{ spin }], async (child) => {
    for (let i = 0; i < MANY; i++) {
      const got = [];
      const messages = child.getEachMessage();
      child.send({ i });
      child.send({ also: i });
      for await (const message of messages) {
        got.push(message);
        if (got.length === 2) break;
        await new Promise((resolve) => setTimeout(resolve, i % 3));
      }
      assert.deepStrictEqual(got, [{ i }, { also: i }]);
    }
  }));
}
