'use strict';
// Two ends that answer each other at once do not sleep in between. Nothing else of the program may wait for them.

const assert = require('node:assert');
const { spawn } = require('node:child_process');
const net = require('node:net');
const { test } = require('node:test');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { PLACES } = require('./places.js');
const { serve } = require('../../index.js');

leavesNothing();

const MANY = 10;
const INDEX = JSON.stringify(require.resolve('../../index.js'));

// Connections of another process that sends back what it gets.
async function echoes(t, place, options, count) {
  const server = await serve(PLACES[place](t), options);
  t.after(() => server.close({ timeout: 1_000 }));
  const connections = [];
  const all = new Promise((resolve) => server.on('connection', (connection) => connections.push(connection) === count && resolve()));
  const child = spawn(process.execPath, ['-e', `
    const { connect } = require(${INDEX});
    for (let i = 0; i < ${count}; i++) {
      connect(${JSON.stringify(server.address())}, ${JSON.stringify(options)}).then((connection) => connection.on('message', (message) => connection.send(message)));
    }`], { stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = happened(child, 'exit');
  t.after(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  await all;
  return connections;
}

// Sends each number when the last one has come back, until told to stop.
function pingPong(connection) {
  const state = { trips: 0, wrong: 0, over: false };
  connection.on('message', ({ number }) => {
    if (number !== state.trips) state.wrong++;
    state.trips++;
    if (!state.over) connection.send({ number: state.trips });
  });
  connection.send({ number: 0 });
  return state;
}

for (const [place, spin] of [['unix:', 10_000], ['unix:', undefined], ['tcp:', 10_000]]) {
  test(`${place} spin: ${spin}: a connection that is always answered at once leaves timers, sockets and other connections their turns`, { timeout: 60_000 }, async (t) => {
    const [busy, other] = await echoes(t, place, { spin }, 2);
    const server = net.createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
    t.after(() => server.close());
    await happened(server, 'listening');
    const socket = net.connect(server.address().port, '127.0.0.1');
    t.after(() => socket.destroy());
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
  });
}

test('a listener that destroys its connection is the last that is called for it, although the loop would look on', { timeout: 60_000 }, async (t) => {
  const [connection] = await echoes(t, 'unix:', { spin: 10_000 }, 1);
  for (let i = 0; i < MANY; i++) {
    connection.send({ i });
    assert.deepStrictEqual((await happened(connection, 'message'))[0], { i });
  }
  let told = 0;
  connection.on('message', () => {
    told++;
    connection.destroy();
  });
  connection.send({ last: true });
  await happened(connection, 'close');
  assert.strictEqual(told, 1);
});
