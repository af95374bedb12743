'use strict';
// A primary, or a worker, that has no descriptor left.

const assert = require('node:assert');
const { execFileSync, fork } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const { test, afterEach } = require('node:test');
const { workers, end, get } = require('../helpers/cluster.js');
const { leavesNothing, stopped } = require('../helpers/leavings.js');
const { environment, fixture } = require('../helpers/modules.js');
const { happened, until } = require('../helpers/wait.js');
const { kOf, kClaims } = require('../../lib/cluster/worker.js');

leavesNothing();
afterEach(end);

const linux = { skip: process.platform !== 'linux' };
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

test('a primary without descriptors waits for some and does not spin, and every client is served', linux, async () => {
  const primary = fork(fixture('cluster/few-descriptors'), [], { env: environment(false) });
  const ask = async () => {
    primary.send('cpu');
    return (await happened(primary, 'message'))[0];
  };
  const [{ port, pids }] = await happened(primary, 'message');
  try {
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    await Promise.all(pids.map(stopped));
    const answers = Array.from({ length: 200 }, () => get(port));
    Promise.all(answers).catch(() => {}); // told below
    let before;
    await until(async () => {
      before = await ask();
      return before.full;
    }, 'it to be full');
    await pause(1_000);
    const { cpu } = await ask();
    const used = cpu.user + cpu.system - before.cpu.user - before.cpu.system;
    assert.ok(used < 500_000, `${used} µs of one second`);
    for (const pid of pids) process.kill(pid, 'SIGCONT');
    const served = await Promise.all(answers);
    assert.strictEqual(served.length, 200);
    assert.strictEqual(new Set(served).size, 2);
    assert.match(await get(port), /^\d+$/);
  } finally {
    for (const pid of pids) process.kill(pid, 'SIGCONT');
    const gone = happened(primary, 'exit');
    primary.kill('SIGKILL');
    await gone;
  }
});

test('what a worker has no descriptor for goes to the other one, and it gets connections again when it has', linux, async () => {
  const { workers: [few, other], port } = await workers('say-id', 2);
  await until(() => few[kClaims] && other[kClaims], 'both to take claims');
  const adopted = (worker) => worker[kOf].native.counts(worker.id).adopted;
  const { pid } = few.process;
  assert.match(await get(port) + await get(port), /^\d\d$/); // whatever is opened with the first ones is
  const open = new Set(fs.readdirSync(`/proc/${pid}/fd`));
  let free = 0;
  while (open.has(`${free}`)) free++;
  execFileSync('prlimit', ['--pid', `${pid}`, `--nofile=${free + 4}:`]);
  const before = adopted(few);
  const held = Array.from({ length: 40 }, () => net.connect(port, '127.0.0.1'));
  try {
    await until(() => adopted(few) + adopted(other) >= 42, 'all to be adopted');
    assert.ok(adopted(few) - before < 20);
    assert.strictEqual(few.isConnected(), true);
    const answers = await Promise.all(Array.from({ length: 10 }, () => get(port)));
    assert.strictEqual(answers.length, 10);
  } finally {
    for (const socket of held) socket.destroy();
  }
  execFileSync('prlimit', ['--pid', `${pid}`, '--nofile=1000:']);
  await until(async () => await get(port) === `${few.id}`, 'it to serve again');
});
