'use strict';
// Keeping the process alive and letting it end; garbage; worker threads that are terminated.

const assert = require('node:assert');
const path = require('node:path');
const { test } = require('node:test');
const { Worker } = require('node:worker_threads');
const { spawnSync } = require('node:child_process');
const { unique, bells } = require('../helpers/shared.js');
const { rsipc, node, fixture, environment, ROOT } = require('../helpers/modules.js');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');

const { Ring, SharedMemory, Cell } = rsipc;
Ring.create({ capacity: 4_096 }).close();
leavesNothing();

const peer = (...args) => node.fork(fixture('shared/peer'), args.map(String), { env: environment(false) });

test('a wait keeps the process alive, and does not when it is not to', async () => {
  const ring = Ring.create({ capacity: 4_096, name: unique(), flavor: 'broadcast' });
  const producer = ring.producer();
  const free = peer('sleep', ring.name, 'unref');
  assert.deepStrictEqual(await happened(free, 'exit'), [0, null]);
  const kept = peer('sleep', ring.name);
  const exited = happened(kept, 'exit');
  await happened(kept, 'disconnect');
  await until(() => bells().length === 1, 'its bell');
  assert.strictEqual(kept.exitCode, null);
  producer.tryWrite('and now it is done');
  assert.deepStrictEqual(await exited, [0, null]);
  ring.unlink();
  ring.close();
});

test('a process that exits takes its bell along', async () => {
  const ring = Ring.create({ capacity: 4_096, name: unique() });
  const child = peer('exit', ring.name);
  assert.deepStrictEqual(await happened(child, 'exit'), [0, null]);
  assert.deepStrictEqual(bells(), []);
  ring.consumer();
  ring.unlink();
  ring.close();
});

test('what nobody has any more is collected with its roles, memory and views', () => {
  const program = `
    const { Ring, SharedMemory } = require(${JSON.stringify(ROOT)});
    const fs = require('node:fs');
    const maps = () => fs.readFileSync('/proc/self/maps', 'utf8').split('memfd:rsipc').length - 1;
    const ring = Ring.create({ capacity: 4096, name: 'collected-${process.pid}' });
    function use() {
      const other = Ring.open(ring.name);
      other.producer().tryWrite('x');
      other.consumer().consume((view) => { globalThis.last = view; });
      SharedMemory.create({ size: 1 << 20 }).buffer.fill(1);
      Ring.create({ capacity: 4096 }).producer().reserve(10).view.fill(1);
    }
    (async () => {
      for (let turn = 0; turn < 20; turn++) {
        use();
        for (let tries = 0; ; tries++) {
          gc();
          await new Promise(setImmediate);
          try { ring.producer().close(); ring.consumer().close(); break; } catch (error) { if (tries > 100) throw error; }
        }
      }
      for (let tries = 0; maps() > 0; tries++) {
        if (tries > 100) throw new Error(maps() + ' mappings are left');
        gc();
        await new Promise(setImmediate);
      }
      ring.unlink();
    })();`;
  const { status, stderr } = spawnSync(process.execPath, ['--expose-gc', '-e', program], { encoding: 'utf8', env: environment(false) });
  assert.deepStrictEqual([status, stderr], [0, '']);
});

test('the memory under a view outlives the object, and a pending read outlives all names for its ring', () => {
  const program = `
    const { Ring, SharedMemory } = require(${JSON.stringify(ROOT)});
    const view = SharedMemory.create({ size: 4096 }).buffer;
    const producer = (() => { const ring = Ring.create({ capacity: 4096 }); ring.consumer().read().then((bytes) => console.log(String(bytes))); return ring.producer(); })();
    (async () => {
      for (let turn = 0; turn < 20; turn++) { gc(); await new Promise(setImmediate); view.fill(turn); }
      producer.tryWrite('read ' + view[4095]);
    })();`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', '-e', program], { encoding: 'utf8', env: environment(false) });
  assert.deepStrictEqual([status, stdout, stderr], [0, 'read 19\n', '']);
});

test('threads that are terminated with live views in the middle of traffic leave nothing and harm nobody', async () => {
  const memory = SharedMemory.create({ name: unique(), size: 64 });
  const cell = Cell.create({ name: unique(), capacity: 100 });
  const many = Ring.create({ name: unique(), capacity: 65_536, flavor: 'mpsc' });
  const consumer = many.consumer();
  const names = { memory: memory.name, cell: cell.name, many: many.name };
  const rounds = Number(process.env.RSIPC_TERMINATIONS ?? 24);
  let seed = 1;
  const one = async () => {
    while (seed <= rounds) {
      const worker = new Worker(fixture('shared/thread'), { workerData: { root: ROOT, names, seed: seed++ } });
      worker.on('error', (error) => assert.fail(error));
      await happened(worker, 'message');
      await new Promise((resolve) => setTimeout(resolve, seed % 15));
      await worker.terminate();
      consumer.readBatch();
    }
  };
  await Promise.all([one(), one(), one()]);
  assert.ok(new Int32Array(memory.buffer.buffer)[0] > 0);
  assert.ok(cell.version > 0);
  await until(() => bells().length === 0, 'all bells to be taken down');
  many.producer().tryWrite('still working');
  assert.ok(consumer.readBatch().map(String).includes('still working'));
  for (const object of [memory, cell, many]) {
    object.unlink();
    object.close();
  }
});

test('a thread that blocks can be terminated', async () => {
  const ring = Ring.create({ name: unique(), capacity: 4_096 });
  const worker = new Worker(`
    const { Ring } = require(${JSON.stringify(path.join(ROOT, 'index.js'))});
    const consumer = Ring.open(${JSON.stringify(ring.name)}).consumer();
    require('node:worker_threads').parentPort.postMessage('blocks');
    consumer.readSync();`, { eval: true });
  await happened(worker, 'message');
  await worker.terminate();
  ring.consumer();
  ring.unlink();
  ring.close();
});

test('threads talk through a ring by its name', async () => {
  const ring = Ring.create({ name: unique(), capacity: 4_096 });
  const worker = new Worker(`
    const { Ring } = require(${JSON.stringify(path.join(ROOT, 'index.js'))});
    const producer = Ring.open(${JSON.stringify(ring.name)}).producer();
    (async () => { for (let number = 0; number < 1000; number++) await producer.write(String(number)); })();`, { eval: true });
  const exited = happened(worker, 'exit');
  const consumer = ring.consumer();
  for (let number = 0; number < 1_000; number++) assert.strictEqual(String(await consumer.read()), String(number));
  await exited;
  ring.unlink();
  ring.close();
});
