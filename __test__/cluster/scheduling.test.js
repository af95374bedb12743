'use strict';
// Which worker gets a connection.

const assert = require('node:assert');
const net = require('node:net');
const { test, afterEach } = require('node:test');
const { workers, end, get } = require('../helpers/cluster.js');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { kOf } = require('../../lib/cluster/worker.js');

leavesNothing();
afterEach(end);

const adopted = (worker) => worker[kOf].native.counts(worker.id).adopted;

test('a function chooses the worker, and the next one is taken when it does not', async () => {
  const asked = [];
  let answer = (all) => all[1];
  const { workers: [, second], port } = await workers('say-id', 2, {
    scheduling(connection, all) {
      asked.push(connection);
      return answer(all);
    },
  });
  for (let i = 0; i < 5; i++) assert.strictEqual(await get(port), `${second.id}`);
  assert.strictEqual(asked.length, 5);
  assert.strictEqual(asked[0].remoteAddress, '127.0.0.1');
  assert.ok(asked[0].remotePort > 0);
  for (const none of [() => undefined, () => ({ id: 1e6 })]) {
    answer = none;
    const answers = [await get(port), await get(port)];
    assert.strictEqual(new Set(answers).size, 2);
  }
});

test('least-connections: the worker whose connections have ended gets the next ones', async () => {
  const { workers: [first, second], port } = await workers('say-id', 2, { scheduling: 'least-connections' });
  const sockets = [];
  for (let i = 0; i < 8; i++) {
    const socket = net.connect(port, '127.0.0.1');
    await happened(socket, 'connect');
    await until(() => adopted(first) + adopted(second) === i + 1, 'it to be adopted');
    sockets.push([socket, adopted(first)]);
  }
  assert.deepStrictEqual([adopted(first), adopted(second)], [4, 4]);
  // Those of the first worker end; the counts of adopted ones say whose each was.
  sockets.forEach(([socket, count], i) => {
    if (count > (sockets[i - 1]?.[1] ?? 0)) socket.destroy();
  });
  // The primary hears of it, of one end after the other: a few times the two may be level.
  for (let row = 0; row < 10;) {
    const count = adopted(first);
    await get(port);
    row = adopted(first) === count + 1 ? row + 1 : 0;
  }
  const before = adopted(first);
  for (let i = 0; i < 3; i++) {
    const socket = net.connect(port, '127.0.0.1');
    await happened(socket, 'connect');
    sockets.push([socket]);
    await until(() => adopted(first) === before + i + 1, 'the first to get it');
  }
  for (const [socket] of sockets) socket.destroy();
});
