'use strict';
// Large Buffers beside the messages of a channel in shared memory.

const assert = require('node:assert');
const fs = require('node:fs');
const net = require('node:net');
const v8 = require('node:v8');
const vm = require('node:vm');
const { Worker } = require('node:worker_threads');
const { test } = require('node:test');
const { rsipc, fixture, environment, ENTRY } = require('../helpers/modules.js');
const { leavesNothing, descriptors, stopped } = require('../helpers/leavings.js');
const { happened, until, within } = require('../helpers/wait.js');

rsipc.alloc(20_000); // the memory that it is from stays as long as the process
leavesNothing();

const MIB = 1024 * 1024;
const mappings = () => fs.readFileSync('/proc/self/maps', 'latin1').split('memfd:rsipc-slab').length - 1;

v8.setFlagsFromString('--expose-gc');
const collect = vm.runInNewContext('gc');

// What V8 has done with is told in a later turn.
async function collected(condition, what) {
  await until(() => {
    collect();
    return condition();
  }, what);
}

function start(options) {
  return rsipc.fork(fixture('ring/shared'), ['ring/slabs.js'], {
    transport: 'ring', serialization: 'advanced', stdio: ['ignore', 'ignore', 'inherit', 'ipc'], env: environment(false, options?.environment), ...options,
  });
}

const reply = (child) => happened(child, 'message').then(([message]) => message);

// Resolves when the bytes of large Buffers lie beside their messages, in both directions and from `alloc` as well.
async function settled(child) {
  const before = child.listenerCount('message');
  const maps = await child.request({ what: 'mappings' });
  for (let i = 0; i < 4; i++) {
    const back = reply(child);
    child.send({ plain: Buffer.alloc(40_000), made: rsipc.alloc(40_000) });
    await back;
  }
  assert.ok(await child.request({ what: 'mappings' }) >= maps);
  assert.strictEqual(child.listenerCount('message'), before);
}

// Runs `use(child)` with a child that is settled.
async function withSlabs(options, use) {
  const child = start(options);
  const exited = happened(child, 'exit');
  try {
    await within((async () => {
      await reply(child);
      await settled(child);
      await use(child, exited);
    })(), 'the test');
  } finally {
    if (child.connected) child.disconnect();
    await exited;
  }
}

const echo = (child, message) => {
  const back = reply(child);
  child.send(message);
  return back;
};

// Bytes that say where they are.
const pattern = (size, seed = 0) => Buffer.from(Uint8Array.from({ length: size }, (_, i) => (i * 31 + (i >>> 8) + seed) & 0xFF));

for (const payload of ['copy', 'view']) {
  test(`views of every kind and of many sizes arrive as what they were (${payload})`, () => withSlabs({ payload }, async (child) => {
    await child.request({ what: 'receive as', payload });
    const kinds = [
      Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array, Float64Array,
      BigInt64Array, BigUint64Array, DataView,
    ];
    for (const size of [0, 8, 16_376, 16_384, 32_768, 65_544, 1_000_000]) {
      const bytes = new Uint8Array(pattern(size + 24)).buffer;
      for (const Type of kinds) {
        const width = Type.BYTES_PER_ELEMENT ?? 1;
        const view = new Type(bytes, 8, size / width);
        const { got } = await echo(child, { got: view });
        assert.strictEqual(got.constructor, Type);
        assert.strictEqual(got.byteLength, size);
        assert.ok(Buffer.from(got.buffer, got.byteOffset, size).equals(Buffer.from(bytes, 8, size)), `${Type.name} of ${size} bytes`);
        const alone = await echo(child, view);
        assert.deepStrictEqual([alone.constructor, alone], [Type, view]);
      }
      const slice = Buffer.from(bytes).subarray(3, 3 + size);
      const { got } = await echo(child, { got: slice });
      assert.ok(Buffer.isBuffer(got) && got.equals(slice), `Buffer of ${size} bytes`);
    }
  }));

  test(`identity within a message, slices of alloc and mixed messages are kept (${payload})`, () => withSlabs({ payload }, async (child) => {
    await child.request({ what: 'receive as', payload });
    const plain = pattern(70_000);
    const made = rsipc.alloc(300_000);
    made.set(pattern(300_000, 9));
    const message = {
      plain, same: plain, its: plain.buffer, other: Buffer.from(plain), small: Buffer.from('small'),
      made, front: made.subarray(0, 20_000), slice: made.subarray(12_345, 112_345), floats: new Float32Array(made.buffer, 40_000, 10_000),
      map: new Map([['list', [plain, made]]]),
    };
    const got = await echo(child, message);
    assert.deepStrictEqual(got, message);
    assert.strictEqual(got.plain, got.same);
    assert.strictEqual(got.map.get('list')[0], got.plain);
    assert.strictEqual(got.map.get('list')[1], got.made);
    assert.notStrictEqual(got.other, got.plain);
  }));

  test(`messages with and without, and with handles, keep their order (${payload})`, () => withSlabs({ payload }, async (child) => {
    await child.request({ what: 'receive as', payload });
    const got = [];
    child.on('message', ({ i, buffer, fits }, handle) => {
      got.push([i, buffer === undefined ? 0 : buffer.length, fits, handle instanceof net.Server]);
      assert.ok(buffer === undefined || buffer.every((byte) => byte === i % 256), `message ${i}`);
      handle?.close();
    });
    const server = net.createServer().listen(0, '127.0.0.1');
    await happened(server, 'listening');
    const size = (i) => [0, 100, 20_000, 500_000, 3_000_000][i % 5];
    for (let i = 0; i < 100; i++) {
      const message = { i, ...(size(i) > 0 && { buffer: i % 3 === 0 ? rsipc.alloc(size(i)).fill(i) : Buffer.alloc(size(i), i) }) };
      if (i % 10 === 0) child.send(message, server);
      else child.send(message);
    }
    await until(() => got.length === 100, 'all to come back');
    assert.deepStrictEqual(got, Array.from({ length: 100 }, (_, i) => [i, size(i), undefined, i % 10 === 0]));
    server.close();
  }));
}

test('by view a Buffer is the sender\'s memory, by copy it is not', () => withSlabs({ payload: 'view' }, async (child) => {
  for (const payload of ['view', 'copy']) {
    await child.request({ what: 'receive as', payload });
    const made = rsipc.alloc(100_000).fill(1);
    child.send({ hold: made.subarray(50_000) });
    assert.deepStrictEqual(await child.request({ what: 'held' }), [[50_000, 1, 1]]);
    made.fill(2); // which a program must not do: it shows whose memory it is
    assert.deepStrictEqual(await child.request({ what: 'held' }), [[50_000, payload === 'view' ? 2 : 1, payload === 'view' ? 2 : 1]]);
    assert.deepStrictEqual(await child.request({ what: 'let go' }), [true]);
  }
}));

test('what was sent is the receiver\'s: the sender\'s next Buffers do not change a view', () => withSlabs({}, async (child) => {
  await child.request({ what: 'receive as', payload: 'view' });
  const buffer = Buffer.alloc(100_000);
  for (let i = 0; i < 50; i++) child.send({ hold: buffer.fill(i) });
  for (let i = 0; i < 200; i++) await echo(child, { other: Buffer.alloc(100_000, 255) });
  const held = await child.request({ what: 'held' });
  assert.deepStrictEqual(held, Array.from({ length: 50 }, (_, i) => [100_000, i, i]));
  await child.request({ what: 'let go' });
}));

test('release empties a Buffer once, and nothing else', () => withSlabs({ payload: 'view' }, async (child) => {
  const { got } = await echo(child, { got: pattern(50_000) });
  const other = got.subarray(100);
  assert.deepStrictEqual([rsipc.release(got), got.length, other.length], [true, 0, 0]);
  assert.strictEqual(rsipc.release(got), false);
  const next = await echo(child, { got: pattern(50_000, 1) });
  assert.deepStrictEqual([rsipc.release(got), rsipc.release(other)], [false, false]);
  assert.ok(next.got.equals(pattern(50_000, 1)));
  for (const plain of [Buffer.alloc(50_000), Buffer.from('x'), new ArrayBuffer(8), new SharedArrayBuffer(8), null, undefined, 7, 'text', {}]) {
    assert.strictEqual(rsipc.release(plain), false);
  }
  const made = rsipc.alloc(50_000);
  assert.deepStrictEqual([rsipc.release(made), made.length, rsipc.release(made)], [true, 0, false]);
}));

test('a small pool that is exhausted loses nothing and is used again when views are collected', () => withSlabs({ maxSharedBytes: MIB }, async (child) => {
  await child.request({ what: 'receive as', payload: 'view' });
  for (let i = 0; i < 40; i++) child.send({ hold: Buffer.alloc(100_000, i) });
  for (const size of [MIB, 2 * MIB]) assert.ok((await echo(child, { got: pattern(size) })).got.equals(pattern(size)));
  assert.deepStrictEqual(await child.request({ what: 'held' }), Array.from({ length: 40 }, (_, i) => [100_000, i, i]));
  const released = await child.request({ what: 'let go' });
  assert.ok(released.filter(Boolean).length >= 5, `${released.filter(Boolean).length} of 40 were views`);
  for (let i = 0; i < 30; i++) assert.ok((await echo(child, { got: pattern(200_000, i) })).got.equals(pattern(200_000, i)));
}));

test('views that nobody holds any more come back by themselves', () => withSlabs({ payload: 'view', maxSharedBytes: 8 * MIB }, async (child) => {
  let views = 0;
  child.on('message', ({ buffer }) => {
    // A view has the size of its block, a Buffer from within a message that of what was read with it.
    if (buffer !== undefined) views += buffer.every((byte) => byte === 7) ? 1 : 0;
  });
  await child.request({ what: 'send', count: 500, size: 200_000, byte: 7 });
  await until(() => views === 500, 'all');
  collect();
}));

test('memory that was kept for copies is given to the system when none come any more', () => withSlabs({}, async (child) => {
  const before = process.memoryUsage().rss;
  let count = 0;
  child.on('message', ({ buffer }) => { count += buffer === undefined ? 0 : 1; });
  await child.request({ what: 'send', count: 100, size: MIB, byte: 1 });
  await until(() => count === 100, 'all');
  await collected(() => process.memoryUsage().rss < before + 20 * MIB, 'the memory to be given back');
}));

test('alloc gives zeros, small and impossible sizes are Buffer.alloc\'s', async () => {
  for (let round = 0; round < 3; round++) {
    const buffers = Array.from({ length: 20 }, () => rsipc.alloc(MIB));
    for (const buffer of buffers) {
      assert.ok(buffer.equals(Buffer.alloc(MIB)));
      buffer.fill(0xFF);
      assert.ok(rsipc.release(buffer));
    }
  }
  assert.deepStrictEqual(rsipc.alloc(0), Buffer.alloc(0));
  assert.deepStrictEqual(rsipc.alloc(10), Buffer.alloc(10));
  assert.throws(() => rsipc.alloc(-1), { code: /^ERR_(OUT_OF_RANGE|INVALID_ARG_VALUE)$/ });
  assert.throws(() => rsipc.alloc('1'), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => rsipc.alloc(Infinity), { code: /^ERR_(OUT_OF_RANGE|INVALID_ARG_VALUE)$/ });
  const many = Array.from({ length: 100 }, () => rsipc.alloc(MIB)); // more than there is room for
  assert.ok(many.every((buffer) => buffer.length === MIB));
});

test('a Buffer of alloc is sent as any other where nothing is shared', async () => {
  for (const options of [{ transport: 'socket' }, { serialization: 'json' }]) {
    const child = rsipc.fork(fixture('ring/echo'), [], { serialization: 'advanced', ...options, stdio: ['ignore', 'ignore', 'inherit', 'ipc'], env: environment(false) });
    const exited = happened(child, 'exit');
    await reply(child);
    const made = rsipc.alloc(50_000).fill('x');
    assert.deepStrictEqual(await echo(child, made), options.serialization === 'json' ? JSON.parse(JSON.stringify(made)) : made);
    child.disconnect();
    await exited;
  }
});

test('bytes beside messages count: send answers false, and drain and callbacks tell when they are taken', () => withSlabs({}, async (child) => {
  child.kill('SIGSTOP');
  await stopped(child.pid);
  let sent = 0;
  let called = 0;
  while (child.send({ hold: Buffer.alloc(MIB, sent) }, () => called++)) sent++;
  assert.ok(sent < 16, `${sent} were sent`);
  assert.ok(child.channel.queued.bytes > 0);
  for (let i = 0; i < 10; i++) child.send({ hold: Buffer.alloc(MIB, sent) }, () => called++);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(called < sent + 11, `${called} callbacks`);
  const drained = happened(child.channel, 'drain');
  child.kill('SIGCONT');
  await drained;
  await child.channel.ready();
  await until(() => called === sent + 11, 'the callbacks');
  assert.strictEqual((await child.request({ what: 'held' })).length, sent + 11);
  assert.strictEqual(child.channel.queued.bytes, 0);
}));

test('what lies beside a message counts for maxMessageSize', () => withSlabs({ maxMessageSize: 200_000 }, async (child) => {
  assert.strictEqual((await echo(child, { got: Buffer.alloc(190_000) })).got.length, 190_000);
  const problem = happened(child, 'protocolError');
  child.send([Buffer.alloc(100_000), Buffer.alloc(100_000)]);
  const [error] = await problem;
  assert.strictEqual(error.code, 'ERR_RSIPC_MESSAGE_TOO_LARGE');
}));

test('what a child leaves at its end arrives, bytes beside messages as well', () => withSlabs({}, async (child, exited) => {
  const got = [];
  child.on('message', ({ i, buffer }) => got.push([i, buffer.length, buffer.every((byte) => byte === i)]));
  child.request({ what: 'exit', count: 30, size: 500_000 }).catch(() => {});
  await exited;
  assert.deepStrictEqual(got, Array.from({ length: 30 }, (_, i) => [i, 500_000, true]));
}));

test('views outlive a child that is killed, and its channel', async () => {
  let view;
  await withSlabs({ payload: 'view' }, async (child, exited) => {
    const back = reply(child);
    await child.request({ what: 'send', count: 1, size: 300_000, byte: 5 });
    view = (await back).buffer;
    child.kill('SIGKILL');
    await exited;
  });
  assert.ok(view.every((byte) => byte === 5));
  view.fill(6);
  assert.strictEqual(rsipc.release(view), true);
});

test('a message that cannot be serialized gives its blocks back', () => withSlabs({ maxSharedBytes: MIB }, async (child) => {
  const bad = { buffer: Buffer.alloc(300_000), more: { get fails() { return () => {}; } } };
  for (let i = 0; i < 50; i++) assert.throws(() => child.send(bad), /could not be cloned/);
  await child.request({ what: 'receive as', payload: 'view' });
  child.send({ hold: Buffer.alloc(300_000, 1) });
  assert.deepStrictEqual(await child.request({ what: 'held' }), [[300_000, 1, 1]]);
  assert.deepStrictEqual(await child.request({ what: 'let go' }), [true]);
}));

test('a getter that sends while its message is written does not mix the two', () => withSlabs({}, async (child) => {
  const got = [];
  child.on('message', ({ name, buffer }) => got.push([name, buffer.every((byte) => byte === buffer[0]), buffer[0]]));
  child.send({ name: 'outer', buffer: Buffer.alloc(100_000, 1), get more() { child.send({ name: 'inner', buffer: Buffer.alloc(100_000, 2) }); return 1; } });
  await until(() => got.length === 2, 'both');
  assert.deepStrictEqual(got, [['inner', true, 2], ['outer', true, 1]]);
}));

test('where the runtime has no ArrayBuffer over other memory all is copied', () => withSlabs({ environment: { RSIPC_NO_EXTERNAL_BUFFERS: '1' } }, async (child) => {
  await child.request({ what: 'receive as', payload: 'view' });
  const floats = new Float64Array(10_000).fill(Math.PI);
  assert.deepStrictEqual(await echo(child, { floats, bytes: pattern(100_000) }), { floats, bytes: pattern(100_000) });
  child.send({ hold: pattern(100_000) });
  assert.deepStrictEqual(await child.request({ what: 'let go' }), [false]);
}));

test('memory is gone with the channel, however it ends, and views with what holds them', async () => {
  const [maps, fds] = [mappings(), descriptors().size];
  for (const end of [(child) => child.disconnect(), (child) => child.kill('SIGKILL')]) {
    let views = [];
    const child = start({ payload: 'view' });
    const exited = happened(child, 'exit');
    await reply(child);
    await settled(child);
    child.on('message', ({ buffer }) => views.push(buffer));
    await child.request({ what: 'send', count: 3, size: 100_000, byte: 3 });
    await until(() => views.length === 3, 'the views');
    assert.ok(mappings() > maps);
    end(child);
    await exited;
    assert.ok(views.every((view) => view.every((byte) => byte === 3)));
    views = null;
    await collected(() => mappings() <= Math.max(maps, 1) && descriptors().size <= fds + 1, 'all to be given back');
  }
});

test('a worker thread ends with views it holds, and with Buffers of alloc under way', async () => {
  for (let round = 0; round < 3; round++) {
    const worker = new Worker(`
      const { workerData, parentPort } = require('node:worker_threads');
      const { fork, alloc } = require(workerData.entry);
      const child = fork(workerData.program, ['ring/slabs.js'], { transport: 'ring', serialization: 'advanced', payload: 'view', stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
      globalThis.held = [];
      child.on('message', (message) => {
        held.push(message);
        if (held.length === 100) parentPort.postMessage('full');
        for (let i = 0; i < 2; i++) child.send({ made: alloc(200_000), plain: Buffer.alloc(100_000) });
      });
    `, { eval: true, workerData: { entry: ENTRY, program: fixture('ring/shared') }, env: environment(false) });
    await happened(worker, 'message');
    await worker.terminate();
  }
  const { length } = Array.from({ length: 10 }, () => rsipc.alloc(MIB));
  assert.strictEqual(length, 10);
});

test('payload is one of two words', () => withSlabs({}, async (child) => {
  assert.strictEqual(child.channel.payload, 'copy');
  child.channel.payload = 'view';
  assert.strictEqual(child.channel.payload, 'view');
  assert.throws(() => { child.channel.payload = 'borrow'; }, { code: 'ERR_INVALID_ARG_VALUE' });
  for (const options of [{ payload: 'x' }, { payload: 1 }, { maxSharedBytes: -1 }, { maxSharedBytes: 'x' }, { maxSharedBytes: 2 ** 40 }]) {
    assert.throws(() => start(options), { code: /^ERR_(INVALID_ARG_(VALUE|TYPE)|OUT_OF_RANGE)$/ });
  }
}));

for (const [what, at, value] of [
  ['that no slab has', 0, 5],
  ['of a slab that was not offered', 0, 1],
  ['of a lease there is not', 4, 4_096],
  ['of another lending', 8, 1_000_000],
  ['among the leases', 12, 0],
  ['behind the end', 12, 0xFFFF_F000],
  ['of more than there is', 16, 0x4000_0000],
  ['of no bytes', 16, 0],
]) {
  for (const payload of ['copy', 'view']) {
    test(`bytes ${what} are a protocol error (${payload})`, () => withSlabs({ payload, onProtocolError: 'drop' }, async (child) => {
      const problem = happened(child, 'protocolError');
      const back = reply(child);
      await child.request({ what: 'spoil', at, value });
      const [error] = await problem;
      assert.match(error.code, /^ERR_RSIPC_(MALFORMED_FRAME|MESSAGE_TOO_LARGE)$/);
      assert.deepStrictEqual(await back, 'behind it');
    }));
  }
}

test('a peer that says the same bytes a thousand times is stopped before they fill the memory', () => withSlabs({ onProtocolError: 'drop', maxEarlyBytes: 2 ** 40 }, async (child) => {
  let bytes = 0;
  child.on('protocolError', () => {});
  child.on('message', ({ buffer }) => { bytes += buffer?.length ?? 0; });
  const problem = happened(child, 'protocolError');
  await child.request({ what: 'repeat', count: 1_000, size: 50 * MIB });
  const [error] = await problem;
  assert.strictEqual(error.code, 'ERR_RSIPC_MALFORMED_FRAME');
  assert.ok(bytes <= 100 * MIB, `${bytes / MIB} MiB arrived`);
}));
