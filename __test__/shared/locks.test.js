'use strict';
// Mutex, RwLock, Semaphore, Event and Barrier: who gets them, who waits, and what happens to those who do not come back.

const assert = require('node:assert');
const path = require('node:path');
const { execFileSync, fork } = require('node:child_process');
const { Worker } = require('node:worker_threads');
const { test } = require('node:test');
const { unique } = require('../helpers/shared.js');
const { rsipc, ROOT } = require('../helpers/modules.js');
const { happened, until, within } = require('../helpers/wait.js');

const { Mutex, RwLock, Semaphore, Event, Barrier, SharedMemory } = rsipc;
const HOLDER = path.join(__dirname, '../fixtures/shared/holder.js');
const turn = () => new Promise(setImmediate);
const pending = async (promise) => {
  const none = Symbol('none');
  await turn();
  return await Promise.race([promise, none]) === none;
};

async function holder(...words) {
  const child = fork(HOLDER, words, { execArgv: [] });
  await happened(child, 'message');
  return child;
}

async function kill(child) {
  const gone = happened(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

const KINDS = [
  [Mutex, {}, 'mutex'], [RwLock, {}, 'rwlock'], [Semaphore, { permits: 2 }, 'semaphore'], [Event, {}, 'event'], [Barrier, { parties: 2 }, 'barrier'],
];

test('every lock is made, opened, found again, unlinked and closed as all shared objects are', () => {
  for (const [Kind, options, kind] of KINDS) {
    const name = unique();
    const made = Kind.create({ ...options, name });
    const opened = Kind.open(name);
    const found = Kind.openOrCreate({ ...options, name });
    assert.throws(() => Kind.create({ ...options, name }), { code: 'ERR_RSIPC_NAME_TAKEN' });
    for (const object of [made, opened, found]) {
      assert.strictEqual(object.kind, kind);
      assert.strictEqual(object.name, name);
      assert.ok(object.size > 0);
    }
    const Other = Kind === Mutex ? RwLock : Mutex;
    assert.throws(() => Other.open(name), { code: 'ERR_RSIPC_WRONG_KIND' });
    made.unlink();
    assert.throws(() => Kind.open(name), { code: 'ERR_RSIPC_NOT_FOUND' });
    for (const object of [made, opened, found]) {
      object.close();
      object.close();
      assert.strictEqual(object.closed, true);
    }
    assert.throws(() => new Kind(), { code: 'ERR_ILLEGAL_CONSTRUCTOR' });
  }
});

test('wrong arguments are refused before anything is taken', async () => {
  const [TYPE, RANGE] = ['ERR_INVALID_ARG_TYPE', 'ERR_OUT_OF_RANGE'];
  const mutex = Mutex.create();
  const semaphore = Semaphore.create({ permits: 2 });
  const table = [
    [() => Mutex.create(null), TYPE], [() => Mutex.create({ name: 1 }), TYPE], [() => Mutex.openOrCreate({}), TYPE], [() => Mutex.open(), TYPE],
    [() => Semaphore.create(), TYPE], [() => Semaphore.create({}), TYPE], [() => Semaphore.create({ permits: 0 }), RANGE],
    [() => Semaphore.create({ permits: 1.5 }), RANGE], [() => Semaphore.create({ permits: 2 ** 31 }), RANGE],
    [() => Event.create({ autoReset: 1 }), TYPE], [() => Barrier.create({}), TYPE], [() => Barrier.create({ parties: 1 }), RANGE], [() => Barrier.create({ parties: 129 }), RANGE],
    [() => mutex.lockSync(null), TYPE], [() => mutex.lockSync({ timeout: '1' }), TYPE], [() => mutex.lockSync({ timeout: -1 }), RANGE], [() => mutex.lockSync({ spin: 10_001 }), RANGE],
    [() => semaphore.tryAcquire(0), RANGE], [() => semaphore.tryAcquire(3), RANGE], [() => semaphore.tryAcquire('1'), TYPE], [() => semaphore.acquireSync({ count: 1.5 }), RANGE],
  ];
  for (const [call, code] of table) assert.throws(call, { code }, String(call));
  const rejected = [
    [() => mutex.lock(null), TYPE], [() => mutex.lock({ timeout: NaN }), RANGE], [() => mutex.lock({ signal: {} }), TYPE], [() => mutex.with(), TYPE],
    [() => semaphore.acquire({ count: 3 }), RANGE],
  ];
  for (const [call, code] of rejected) await assert.rejects(call, { code }, String(call));
  assert.strictEqual(mutex.locked, false);
  assert.strictEqual(semaphore.available, 2);
  mutex.close();
  semaphore.close();
});

test('a mutex has one owner, and each has a greater fence', async () => {
  const name = unique();
  const mutex = Mutex.create({ name });
  const other = Mutex.open(name);
  const held = mutex.lockSync();
  assert.strictEqual(held.held, true);
  assert.strictEqual(held.recovered, false);
  assert.strictEqual(mutex.locked, true);
  assert.strictEqual(other.locked, true);
  assert.strictEqual(mutex.tryLock(), undefined);
  assert.strictEqual(other.tryLock(), undefined);
  const waits = [mutex.lock(), mutex.lock()];
  assert.ok(await pending(waits[0]));
  held.release();
  held.release();
  assert.strictEqual(held.held, false);
  const first = await within(waits[0], 'the lock');
  assert.ok(first.fence > held.fence);
  assert.ok(await pending(waits[1]));
  first.release();
  const second = await within(waits[1], 'the lock');
  assert.ok(second.fence > first.fence);
  second.release();
  assert.strictEqual(mutex.locked, false);
  mutex.unlink();
  mutex.close();
  other.close();
});

test('what would wait for its own thread throws instead', async () => {
  const name = unique();
  const mutex = Mutex.create({ name });
  const other = Mutex.open(name);
  const held = await mutex.lock();
  assert.throws(() => mutex.lockSync(), { code: 'ERR_RSIPC_DEADLOCK' });
  assert.throws(() => other.lockSync({ timeout: 1_000 }), { code: 'ERR_RSIPC_DEADLOCK' });
  held.release();
  const lock = RwLock.create();
  const reading = lock.readSync();
  assert.throws(() => lock.writeSync(), { code: 'ERR_RSIPC_DEADLOCK' });
  lock.readSync().release();
  reading.release();
  const writing = lock.writeSync();
  assert.throws(() => lock.readSync(), { code: 'ERR_RSIPC_DEADLOCK' });
  assert.throws(() => lock.writeSync(), { code: 'ERR_RSIPC_DEADLOCK' });
  writing.release();
  const semaphore = Semaphore.create({ permits: 2 });
  const permit = semaphore.acquireSync();
  assert.throws(() => semaphore.acquireSync({ count: 2 }), { code: 'ERR_RSIPC_DEADLOCK' });
  permit.release();
  const barrier = Barrier.create({ parties: 2 });
  const wait = barrier.wait();
  assert.throws(() => barrier.waitSync(), { code: 'ERR_RSIPC_DEADLOCK' });
  mutex.unlink();
  for (const object of [mutex, other, lock, semaphore, barrier]) object.close();
  await assert.rejects(wait, { code: 'ERR_RSIPC_CLOSED' });
});

test('a wait that ends by time, by a signal or by closing leaves nothing taken', async () => {
  const name = unique();
  for (const [make, take, again] of [
    [() => Mutex.create({ name }), (lock, how) => lock.lock(how), () => Mutex.open(name)],
    [() => RwLock.create({ name }), (lock, how) => lock.write(how), () => RwLock.open(name)],
    [() => Semaphore.create({ name, permits: 1 }), (lock, how) => lock.acquire(how), () => Semaphore.open(name)],
  ]) {
    const lock = make();
    const other = again();
    const held = await take(lock);
    for (const waiter of [lock, other]) {
      await assert.rejects(take(waiter, { timeout: 20 }), { code: 'ERR_RSIPC_TIMEOUT' });
      const controller = new AbortController();
      const aborted = take(waiter, { signal: controller.signal });
      controller.abort(new Error('why'));
      await assert.rejects(aborted, { name: 'AbortError', code: 'ABORT_ERR' });
      await assert.rejects(take(waiter, { signal: AbortSignal.abort() }), { code: 'ABORT_ERR' });
    }
    // Given up as it is released: one or the other, never both.
    const controller = new AbortController();
    const race = take(other, { signal: controller.signal });
    held.release();
    controller.abort();
    await race.then((won) => won.release(), (error) => assert.strictEqual(error.code, 'ABORT_ERR'));
    (await within(take(lock), 'the lock that nobody has')).release();
    const last = await take(lock);
    const closed = take(other);
    const behind = take(other);
    other.close();
    await assert.rejects(closed, { code: 'ERR_RSIPC_CLOSED' });
    await assert.rejects(behind, { code: 'ERR_RSIPC_CLOSED' });
    await assert.rejects(take(other), { code: 'ERR_RSIPC_CLOSED' });
    // Closing releases.
    const third = again();
    const next = take(third);
    lock.close();
    assert.strictEqual(last.held, false);
    last.release();
    assert.strictEqual((await within(next, 'the lock of the closed')).recovered, false);
    third.unlink();
    third.close();
  }
});

test('a lock under which something throws is released', async () => {
  const mutex = Mutex.create();
  assert.strictEqual(await mutex.with((held) => held.fence), 1n);
  await assert.rejects(mutex.with(() => { throw new Error('thrown'); }), /thrown/);
  assert.strictEqual(mutex.locked, false);
  const held = mutex.lockSync();
  held[Symbol.dispose ?? Symbol.for('nodejs.dispose')]();
  assert.strictEqual(mutex.locked, false);
  mutex.close();
});

test('readers are many, a writer is alone, and nobody passes who came later', async () => {
  const name = unique();
  const lock = RwLock.create({ name });
  const other = RwLock.open(name);
  const readers = [lock.tryRead(), await lock.read(), other.readSync()];
  assert.deepStrictEqual(readers.map(({ fence, recovered }) => [fence, recovered]), Array(3).fill([0n, false]));
  assert.strictEqual(other.tryWrite(), undefined);
  const writing = lock.write();
  const behind = lock.read();
  assert.strictEqual(lock.tryRead(), undefined);
  for (const reader of readers) {
    assert.ok(await pending(writing));
    reader.release();
  }
  const writer = await within(writing, 'to write');
  assert.ok(await pending(behind));
  assert.strictEqual(other.tryRead(), undefined);
  writer.release();
  (await within(behind, 'to read')).release();
  // A writer that gives up lets those behind it in.
  const reader = other.readSync();
  const given = lock.write({ timeout: 30 });
  const after = lock.read();
  await assert.rejects(given, { code: 'ERR_RSIPC_TIMEOUT' });
  (await within(after, 'to read')).release();
  reader.release();
  lock.unlink();
  lock.close();
  other.close();
});

test('permits come back, and who wants few does not overtake who wants many', async () => {
  const semaphore = Semaphore.create({ permits: 3 });
  const [one, two] = [semaphore.tryAcquire(), semaphore.acquireSync({ count: 2 })];
  assert.strictEqual(semaphore.available, 0);
  assert.strictEqual(semaphore.tryAcquire(), undefined);
  const many = semaphore.acquire({ count: 3 });
  const few = semaphore.acquire();
  two.release();
  assert.ok(await pending(few));
  one.release();
  const all = await within(many, 'three permits');
  assert.ok(await pending(few));
  all.release();
  (await within(few, 'one permit')).release();
  // Who wants many and gives up lets those behind it pass.
  const rest = semaphore.acquireSync();
  const given = semaphore.acquire({ count: 3, timeout: 30 });
  const after = semaphore.acquire();
  await assert.rejects(given, { code: 'ERR_RSIPC_TIMEOUT' });
  (await within(after, 'one permit')).release();
  rest.release();
  assert.strictEqual(semaphore.available, 3);
  semaphore.close();
});

test('an event lets all pass who wait, also if it is reset before they look', async () => {
  const name = unique();
  const event = Event.create({ name });
  const other = Event.open(name);
  assert.strictEqual(event.isSet, false);
  const waits = [event.wait(), event.wait(), other.wait()];
  assert.ok(await pending(Promise.race(waits)));
  other.set();
  other.reset();
  const late = event.wait();
  await within(Promise.all(waits), 'the event');
  assert.ok(await pending(late));
  event.set();
  await within(late, 'the event');
  await event.wait();
  event.waitSync();
  event.reset();
  assert.throws(() => event.waitSync({ timeout: 20 }), { code: 'ERR_RSIPC_TIMEOUT' });
  await assert.rejects(event.wait({ timeout: 20 }), { code: 'ERR_RSIPC_TIMEOUT' });
  event.unlink();
  event.close();
  other.close();
});

test('a thread that is blocked passes an event however short it is set', async (t) => {
  const name = unique();
  const event = Event.create({ name });
  const words = SharedMemory.create({ size: 12, name: `${name}-words` });
  const [BEGUN, PASSED, RESET] = [0, 1, 2];
  const counts = new Int32Array(words.buffer.buffer);
  const worker = new Worker(`
    const { Event, SharedMemory } = require(${JSON.stringify(path.join(ROOT, 'index.js'))});
    const event = Event.open(${JSON.stringify(name)});
    const words = SharedMemory.open(${JSON.stringify(`${name}-words`)});
    const counts = new Int32Array(words.buffer.buffer);
    // A wait has begun when it knows how often the event was set before. The thread may stand still until then.
    const { prototype } = require(${JSON.stringify(path.join(ROOT, 'lib/binding.js'))}).SharedEvent;
    const { get } = Object.getOwnPropertyDescriptor(prototype, 'settings');
    let round = 0;
    Object.defineProperty(prototype, 'settings', { get() {
      const settings = get.call(this);
      Atomics.store(counts, 0, round);
      return settings;
    } });
    while (round < 50) {
      while (Atomics.load(counts, 2) < round); // it is still set
      round++;
      event.waitSync();
      Atomics.add(counts, 1, 1);
    }
    event.close();
    words.close();`, { eval: true });
  t.after(() => worker.terminate());
  const ended = happened(worker, 'exit');
  for (let round = 1; round <= 50; round++) {
    await until(() => Atomics.load(counts, BEGUN) === round, 'the wait to begin');
    await new Promise((resolve) => setTimeout(resolve, 60 + round));
    event.set();
    event.reset();
    await until(() => Atomics.load(counts, PASSED) === round, 'the wait to pass', 10_000);
    Atomics.store(counts, RESET, round);
  }
  await ended;
  for (const object of [event, words]) {
    object.unlink();
    object.close();
  }
});

test('an event that resets itself lets one pass for each setting', async () => {
  const event = Event.create({ autoReset: true });
  assert.strictEqual(event.autoReset, true);
  const waits = [event.wait(), event.wait()];
  event.set();
  await within(waits[0], 'the event');
  assert.ok(await pending(waits[1]));
  assert.strictEqual(event.isSet, false);
  event.set();
  await within(waits[1], 'the event');
  event.set();
  event.set();
  event.waitSync();
  assert.throws(() => event.waitSync({ timeout: 0 }), { code: 'ERR_RSIPC_TIMEOUT' });
  event.close();
});

test('a barrier lets all pass when all have come, round after round, and one came last', async () => {
  const name = unique();
  const parties = [Barrier.create({ name, parties: 3 }), Barrier.open(name), Barrier.open(name)];
  for (let round = 0; round < 5; round++) {
    const waits = parties.map((party) => party.wait());
    const last = await within(Promise.all(waits), 'a round');
    assert.deepStrictEqual(last.slice().sort(), [false, false, true]);
  }
  // Who gives up has not come.
  await assert.rejects(parties[0].wait({ timeout: 20 }), { code: 'ERR_RSIPC_TIMEOUT' });
  const waits = [parties[1].wait(), parties[2].wait()];
  assert.ok(await pending(Promise.race(waits)));
  assert.strictEqual(parties[0].waitSync(), true);
  assert.deepStrictEqual(await within(Promise.all(waits), 'a round'), [false, false]);
  parties[0].unlink();
  for (const party of parties) party.close();
});

test('a party that is killed breaks its barrier until it is reset', async () => {
  const name = unique();
  const barrier = Barrier.create({ name, parties: 3 });
  const child = await holder('Barrier', 'wait', name);
  // Listened to at once: it may break before this process learns of the child's end.
  const broken = assert.rejects(within(barrier.wait(), 'the barrier to break'), { code: 'ERR_RSIPC_BARRIER_BROKEN' });
  await kill(child);
  await broken;
  assert.strictEqual(barrier.broken, true);
  await assert.rejects(barrier.wait(), { code: 'ERR_RSIPC_BARRIER_BROKEN' });
  barrier.reset();
  assert.strictEqual(barrier.broken, false);
  await assert.rejects(barrier.wait({ timeout: 20 }), { code: 'ERR_RSIPC_TIMEOUT' });
  barrier.unlink();
  barrier.close();
});

test('what a killed process held goes to who waits for it, who is told', async (t) => {
  for (const [Kind, options, way, words, take] of [
    [Mutex, {}, 'lockSync', [], (lock) => lock.lock()],
    [RwLock, {}, 'writeSync', [], (lock) => lock.read()],
    [RwLock, {}, 'readSync', [], (lock) => lock.write()],
    [Semaphore, { permits: 2 }, 'acquireSync', ['{"count":2}'], (lock) => lock.acquire()],
  ]) {
    const name = unique();
    const lock = Kind.create({ ...options, name });
    const child = await holder(Kind.name, way, name, ...words);
    const wait = take(lock);
    await assert.rejects(Promise.race([wait, new Promise((_, reject) => setTimeout(reject, 60, new Error('held')))]), /held/);
    const begun = performance.now();
    await kill(child);
    const held = await within(wait, 'the lock of the dead');
    t.diagnostic(`${Kind.name} after ${way}: ${(performance.now() - begun).toFixed(1)} ms`);
    assert.strictEqual(held.recovered, way === 'lockSync' || way === 'writeSync');
    held.release();
    lock.unlink();
    lock.close();
  }
});

test('what a thread held that is terminated goes to who waits for it', async () => {
  const name = unique();
  const mutex = Mutex.create({ name });
  for (const count of [1, 2, 3]) {
    const worker = new Worker(HOLDER, { workerData: ['Mutex', 'lockSync', name] });
    await happened(worker, 'message');
    const wait = mutex.lock();
    assert.ok(await pending(wait), `pending ${count}`);
    await worker.terminate();
    const held = await within(wait, 'the lock of the thread');
    assert.strictEqual(held.recovered, true);
    held.release();
  }
  // One that waits, in the loop or blocked, takes no place when it is terminated.
  const held = mutex.lockSync();
  for (const way of ['lock', 'lockSync']) {
    const worker = new Worker(HOLDER, { workerData: ['Mutex', way, name] });
    await (way === 'lock' ? happened(worker, 'message') : happened(worker, 'online'));
    await new Promise((resolve) => setTimeout(resolve, 50));
    await within(worker.terminate(), 'the thread to end');
  }
  held.release();
  (await within(mutex.lock(), 'the lock')).release();
  mutex.unlink();
  mutex.close();
});

test('what is forgotten is released when it is collected, with one warning', () => {
  const program = `
    const { Mutex } = require(${JSON.stringify(path.join(ROOT, 'index.js'))});
    const mutex = Mutex.create();
    let warnings = 0;
    process.on('warning', (warning) => { warnings += warning.code === 'RSIPC_LOCK_FORGOTTEN'; });
    (() => { mutex.lockSync(); })();
    const timer = setInterval(() => {
      gc();
      if (mutex.locked || warnings === 0) return;
      clearInterval(timer);
      console.log(warnings);
    }, 10);`;
  assert.strictEqual(String(execFileSync(process.execPath, ['--expose-gc', '--no-warnings', '-e', program], { timeout: 30_000 })).trim(), '1');
});

test('waits keep the process alive as they are told to, and idle locks do not', () => {
  const entry = JSON.stringify(path.join(ROOT, 'index.js'));
  const run = (body) => String(execFileSync(process.execPath, ['-e', `
    const { Mutex } = require(${entry});
    const mutex = Mutex.create();
    const held = mutex.lockSync();
    ${body}`], { timeout: 30_000 })).trim();
  assert.strictEqual(run('mutex.lock().then(() => console.log("never")); mutex.unref(); process.on("exit", () => console.log("end"));'), 'end');
  assert.strictEqual(run('mutex.lock({ timeout: 50 }).catch(({ code }) => console.log(code));'), 'ERR_RSIPC_TIMEOUT');
  assert.strictEqual(run('process.on("exit", () => console.log("end"));'), 'end');
});

test('locks travel over the channel of a child as handles', async () => {
  const child = rsipc.fork(path.join(__dirname, '../fixtures/shared/lent.js'), { execArgv: [] });
  for (const [Kind, options] of KINDS) {
    const name = Kind === Mutex ? unique() : undefined;
    const object = Kind.create({ ...options, name });
    const answer = happened(child, 'message');
    await child.send('take', object, { receipt: true });
    assert.deepStrictEqual(await answer, [`${object.kind} taken`, undefined]);
    if (Kind === Mutex) {
      assert.strictEqual(object.tryLock(), undefined);
      object.unlink();
    }
    if (Kind === Semaphore) assert.strictEqual(object.available, 1);
    if (Kind === Event) assert.strictEqual(object.isSet, true);
    object.close();
  }
  const gone = happened(child, 'exit');
  child.disconnect();
  await gone;
});

test('nothing that waits looks for nothing: a wait that is over leaves no timer', async () => {
  const mutex = Mutex.create();
  const held = mutex.lockSync();
  await assert.rejects(mutex.lock({ timeout: 5 }), { code: 'ERR_RSIPC_TIMEOUT' });
  await until(() => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length <= 2, 'the timers to end', 5_000);
  held.release();
  mutex.close();
});
