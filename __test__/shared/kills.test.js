'use strict';
// Processes that are killed anywhere, with locks and maps in their hands. `RSIPC_KILLS` says how many
// of each kind, `RSIPC_CONTENDERS` among how many at a time.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { execFileSync, fork } = require('node:child_process');
const { test } = require('node:test');
const { bells, directory, unique, numberOf } = require('../helpers/shared.js');
const { rsipc } = require('../helpers/modules.js');
const { happened, within } = require('../helpers/wait.js');

const { Mutex, RwLock, Semaphore, SharedMap, SharedMemory } = rsipc;
const CONTENDERS = Number(process.env.RSIPC_CONTENDERS ?? 4);
const KILLS = Number(process.env.RSIPC_KILLS ?? 12);
const FIXTURE = path.join(__dirname, '../fixtures/shared/contender.js');
const delay = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function contender(kind, name, log, number) {
  const child = fork(FIXTURE, [kind, name, log, String(number)], { execArgv: [] });
  await happened(child, 'message');
  return child;
}

// Has contenders at work, kills one after the other and replaces it. Answers when each was killed, by pid.
async function massacre(kind, name, log, check = () => {}) {
  const children = await Promise.all(Array.from({ length: CONTENDERS }, (_, number) => contender(kind, name, log, number)));
  const killed = new Map();
  const kill = async (child) => {
    assert.strictEqual(child.exitCode, null, 'a contender has failed');
    const gone = happened(child, 'exit');
    killed.set(child.pid, process.hrtime.bigint());
    child.kill('SIGKILL');
    await gone;
  };
  for (let count = 0; count < KILLS; count++) {
    await delay(Math.random() * 20);
    const index = count % CONTENDERS;
    await kill(children[index]);
    check();
    children[index] = await contender(kind, name, log, index);
  }
  await delay(20);
  await Promise.all(children.map(kill));
  return killed;
}

// Holds as the log tells them. One that was not given back ended when its process was killed.
function holds(log, killed) {
  const open = new Map();
  const all = [];
  for (const line of fs.readFileSync(log, 'utf8').split('\n').slice(0, -1)) {
    const [what, pid, time, weight, fence, recovered] = line.split(' ');
    if (what === 'take') {
      const hold = { pid: Number(pid), from: BigInt(time), to: undefined, weight: Number(weight), fence: BigInt(fence), recovered: recovered === 'true', lost: false };
      assert.ok(!open.has(pid), `${pid} has two holds`);
      open.set(pid, hold);
      all.push(hold);
    } else {
      open.get(pid).to = BigInt(time);
      open.delete(pid);
    }
  }
  for (const hold of open.values()) {
    hold.lost = true;
    hold.to = killed.get(hold.pid);
  }
  // A line may still be written while the signal is on its way.
  return all.filter((hold) => hold.to >= hold.from);
}

function heaviest(all) {
  const changes = all.flatMap(({ from, to, weight }) => [[from, weight], [to, -weight]]);
  changes.sort(([a, up], [b, down]) => (a < b ? -1 : a > b ? 1 : up - down));
  let [now, most] = [0, 0];
  for (const [, change] of changes) {
    now += change;
    most = Math.max(most, now);
  }
  return most;
}

// Milliseconds from a kill of one who held the lock to the next who had it.
function takeOvers(all) {
  const ends = all.filter((hold) => hold.lost).map((hold) => {
    const next = all.filter(({ from }) => from > hold.to).reduce((first, { from }) => (first === undefined || from < first ? from : first), undefined);
    return next === undefined ? undefined : Number(next - hold.to) / 1e6;
  });
  return ends.filter((time) => time !== undefined).sort((a, b) => a - b);
}

function tell(t, all) {
  const times = takeOvers(all);
  const at = (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))]?.toFixed(1);
  t.diagnostic(`${all.length} holds, ${KILLS} kills, ${times.length} of them while holding; take-over ms p50 ${at(0.5)} p99 ${at(0.99)} max ${at(1)}`);
}

test('a mutex has one owner at a time, and comes back when the owner is killed', async (t) => {
  const name = unique();
  const log = path.join(directory, `${name}.log`);
  const mutex = Mutex.create({ name });
  const killed = await massacre('mutex', name, log);
  const all = holds(log, killed);
  assert.strictEqual(heaviest(all), 1);
  const fences = all.slice().sort((a, b) => (a.from < b.from ? -1 : 1)).map(({ fence }) => fence);
  assert.ok(fences.every((fence, index) => index === 0 || fence > fences[index - 1]), 'a fence went back');
  tell(t, all);
  (await within(mutex.lock(), 'the lock of the dead')).release();
  mutex.unlink();
  mutex.close();
});

test('a semaphore never gives more permits than it has, and loses none of those of the killed', async (t) => {
  const name = unique();
  const log = path.join(directory, `${name}.log`);
  const semaphore = Semaphore.create({ permits: 3, name });
  const killed = await massacre('semaphore', name, log);
  const all = holds(log, killed);
  const most = heaviest(all);
  assert.ok(most <= 3 && most > 1, `${most} of 3 permits`);
  tell(t, all);
  (await within(semaphore.acquire({ count: 3 }), 'the permits of the dead')).release();
  assert.strictEqual(semaphore.available, 3);
  semaphore.unlink();
  semaphore.close();
});

test('a read-write lock has no reader beside a writer, and comes back from both', async (t) => {
  const name = unique();
  const log = path.join(directory, `${name}.log`);
  const lock = RwLock.create({ name });
  const killed = await massacre('rwlock', name, log);
  const all = holds(log, killed);
  assert.strictEqual(heaviest(all), 1_000);
  tell(t, all);
  (await within(lock.write(), 'the lock of the dead')).release();
  lock.unlink();
  lock.close();
});

test('a map is whole and counts every addition while its writers are killed', async (t) => {
  const name = unique();
  const map = SharedMap.create({ capacity: 65_536, name });
  const counts = SharedMemory.create({ size: 8 * CONTENDERS, name: `${name}-counts` });
  const words = new BigInt64Array(counts.buffer.buffer);
  let reads = 0;
  const check = () => {
    for (let key = 0; key < 10; key++) {
      const value = map.get(`key ${key}`);
      if (value !== undefined) numberOf(value);
      reads++;
    }
    for (const [key, value] of map) if (String(key) !== 'counter') numberOf(value);
  };
  let done = false;
  const reader = (async () => {
    for (; !done; await new Promise(setImmediate)) check();
  })();
  const killed = await massacre('map', name, path.join(directory, `${name}.log`), check);
  done = true;
  await reader;
  const counted = words.reduce((sum, word) => sum + word, 0n);
  const missing = map.count('counter') - counted;
  // Who is killed between its two counts has counted once.
  assert.ok(missing >= 0n && missing <= BigInt(killed.size), `${missing} of ${counted} additions`);
  t.diagnostic(`${counted} additions, ${reads} reads, ${killed.size} kills`);
  for (let key = 0; key < 10; key++) map.set(`key ${key}`, 'x');
  for (const object of [map, counts]) {
    object.unlink();
    object.close();
  }
});

test('what the killed have left is removed by `rsipc clean`', () => {
  execFileSync(process.execPath, [path.join(__dirname, '../../bin/rsipc.js'), 'clean']);
  assert.ok(bells().length <= 1, 'more than the own bell');
});
