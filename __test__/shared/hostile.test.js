'use strict';
// Files and descriptors that are not what they say: a typed error, and the process goes on.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { spawnSync } = require('node:child_process');
const { directory, unique } = require('../helpers/shared.js');
const { rsipc, ROOT, environment } = require('../helpers/modules.js');

const { Ring, SharedMemory, Cell } = rsipc;
const world = () => path.join(directory, fs.readdirSync(directory).find((name) => /^[0-9a-f]{16}$/.test(name)));
const fileOf = (name) => path.join(world(), `${name}.shm`);

// A ring's file as bytes.
function bytesOfRing() {
  const ring = Ring.create({ capacity: 4_096, name: unique() });
  const bytes = fs.readFileSync(fileOf(ring.name));
  ring.unlink();
  ring.close();
  return bytes;
}

function withFile(bytes, use, mode = 0o600) {
  const name = unique();
  const file = fileOf(name);
  fs.writeFileSync(file, bytes, { mode });
  fs.chmodSync(file, mode);
  try {
    use(name, file);
  } finally {
    fs.rmSync(file, { force: true, recursive: true });
  }
}

const CODES = /^ERR_RSIPC_(DAMAGED|INCOMPATIBLE|WRONG_KIND|UNTRUSTED|DESTROYED|SYSTEM)$/;

function refused(call) {
  try {
    call().close();
  } catch (error) {
    assert.match(error.code, CODES, error.stack);
    return error.code;
  }
  return undefined;
}

test('a file of random bytes, of zeros, or of a part is no object', () => {
  const whole = bytesOfRing();
  let seed = 7;
  const random = Buffer.from(Array.from({ length: 20_000 }, () => (seed = (seed * 16_807) % 2_147_483_647) & 255));
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(1), Buffer.alloc(20_000), random, whole.subarray(0, 63), whole.subarray(0, 64), whole.subarray(0, 8_448), whole.subarray(0, -1)]) {
    withFile(bytes, (name) => {
      for (const open of [() => Ring.open(name), () => Cell.open(name), () => SharedMemory.open(name), () => Ring.openOrCreate({ name, capacity: 4_096 })]) {
        assert.notStrictEqual(refused(open), undefined, `${bytes.length} bytes`);
      }
    });
  }
});

test('every bit of the header counts', () => {
  const whole = bytesOfRing();
  for (let bit = 0; bit < 60 * 8; bit += 5) {
    const bytes = Buffer.from(whole);
    bytes[bit >> 3] ^= 1 << (bit & 7);
    withFile(bytes, (name) => assert.notStrictEqual(refused(() => Ring.open(name)), undefined, `bit ${bit}`));
  }
});

test('what another user could have made or changed is refused', () => {
  const whole = bytesOfRing();
  for (const mode of [0o644, 0o620, 0o666, 0o777]) withFile(whole, (name) => assert.strictEqual(refused(() => Ring.open(name)), 'ERR_RSIPC_UNTRUSTED'), mode);
  const outside = path.join(directory, 'outside');
  fs.writeFileSync(outside, whole, { mode: 0o600 });
  const name = unique();
  fs.symlinkSync(outside, fileOf(name));
  assert.notStrictEqual(refused(() => Ring.open(name)), undefined);
  fs.unlinkSync(fileOf(name));
  fs.linkSync(outside, fileOf(name));
  assert.strictEqual(refused(() => Ring.open(name)), 'ERR_RSIPC_UNTRUSTED');
  fs.unlinkSync(fileOf(name));
  fs.mkdirSync(fileOf(name));
  assert.strictEqual(refused(() => Ring.open(name)), 'ERR_RSIPC_UNTRUSTED');
  fs.rmdirSync(fileOf(name));
});

test('a run directory that others may write is refused and says so', () => {
  const own = path.join(directory, 'open');
  fs.mkdirSync(own);
  fs.chmodSync(own, 0o777);
  const program = `require(${JSON.stringify(ROOT)}).Cell.create({ capacity: 1 })`;
  for (const [run, code] of [[own, 'ERR_RSIPC_UNTRUSTED'], ['relative', 'ERR_RSIPC_UNTRUSTED'], ['/nowhere/at/all', 'ERR_RSIPC_SYSTEM']]) {
    const { status, stderr } = spawnSync(process.execPath, ['-e', program], { encoding: 'utf8', env: environment(false, { RSIPC_RUN_DIR: run }) });
    assert.deepStrictEqual([status, stderr.includes(code)], [1, true], stderr);
  }
});

test('a writer that scribbles over a ring after the check harms only what is read', () => {
  for (const flavor of ['spsc', 'mpsc', 'broadcast']) {
    const ring = Ring.create({ capacity: 4_096, name: unique(), flavor });
    const file = fs.openSync(fileOf(ring.name), 'r+');
    const [producer, consumer] = [ring.producer(), ring.consumer()];
    let seed = 99;
    const next = () => (seed = (seed * 48_271) % 2_147_483_647);
    const outcomes = new Set();
    for (let turn = 0; turn < 3_000; turn++) {
      // Anywhere behind the header, and often where the positions and the heads of records are.
      const at = turn % 2 ? 8_448 + (next() % 600) : 64 + (next() % (ring.size - 72));
      const value = Buffer.alloc(8);
      value.writeUInt32LE(next() % 3 ? next() % 5_000 : next(), 0);
      // The latch is a lock: who writes a living owner's identity into it holds it.
      if (at < 8_448) continue;
      for (const call of [() => producer.tryWrite(Buffer.alloc(next() % 500)), () => consumer.tryRead(), () => consumer.readBatch(), () => consumer.consume((view) => view.length)]) {
        fs.writeSync(file, value, 0, 8, at);
        try {
          call();
          outcomes.add('ok');
        } catch (error) {
          assert.match(error.code, /^ERR_RSIPC_(DAMAGED|SLOW_CONSUMER)$/);
          outcomes.add(error.code);
        }
      }
    }
    assert.ok(outcomes.has('ERR_RSIPC_DAMAGED'), flavor);
    fs.closeSync(file);
    ring.unlink();
    ring.close();
  }
});

test('a cell whose lengths are written over gives a typed error or a whole copy', () => {
  const cell = Cell.create({ capacity: 100, name: unique() });
  const file = fs.openSync(fileOf(cell.name), 'r+');
  cell.set('value');
  fs.writeSync(file, Buffer.alloc(8, 0xff), 0, 8, 8_448 + 64 + 128);
  assert.throws(() => cell.get(), { code: 'ERR_RSIPC_DAMAGED' });
  cell.set('again');
  assert.strictEqual(String(cell.get()), 'again');
  fs.closeSync(file);
  cell.unlink();
  cell.close();
});

test('where the runtime has no buffers over foreign memory, records are copied and memory says so', () => {
  const program = `
    const assert = require('node:assert');
    const { Ring, SharedMemory } = require(${JSON.stringify(ROOT)});
    const ring = Ring.create({ capacity: 4096 });
    const [producer, consumer] = [ring.producer(), ring.consumer()];
    const slot = producer.reserve(10);
    slot.view.write('0123456789');
    slot.commit(4);
    const seen = [];
    consumer.consume((view) => seen.push(String(view)));
    assert.deepStrictEqual(seen, ['0123']);
    const memory = SharedMemory.create({ size: 5 });
    assert.throws(() => memory.buffer, { code: 'ERR_RSIPC_NO_VIEWS' });
    memory.close();`;
  const { status, stderr } = spawnSync(process.execPath, ['-e', program], { encoding: 'utf8', env: environment(false, { RSIPC_NO_EXTERNAL_BUFFERS: '1' }) });
  assert.deepStrictEqual([status, stderr], [0, '']);
});

test('no room is an error and leaves nothing', () => {
  for (const call of [() => SharedMemory.create({ size: 2 ** 32 }), () => Ring.create({ capacity: 2 ** 31, name: 'huge' })]) {
    const program = `try { const { Ring, SharedMemory } = require(${JSON.stringify(ROOT)}); (${call})().close(); } catch (error) { console.log(error.code); }`;
    const { stdout } = spawnSync('sh', ['-c', 'ulimit -f 1000; exec "$0" -e "$1"', process.execPath, program], { encoding: 'utf8', env: environment(false) });
    // A limit on the size of files, a full device, or a machine with very much room.
    assert.match(stdout, /^(ERR_RSIPC_NO_SPACE|ERR_RSIPC_SYSTEM)?\n?$/);
  }
});
