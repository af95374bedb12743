'use strict';
// Signals and limits of the process itself: interrupted system calls, SIGPIPE with its deadly default,
// a full table of descriptors. Each case runs in a process of its own, which says what it saw.

const assert = require('node:assert');
const { execFile } = require('node:child_process');
const path = require('node:path');
const { test } = require('node:test');
const { promisify } = require('node:util');

const run = promisify(execFile);
const fixture = (name) => path.join(__dirname, 'fixtures', name);

async function answer(command, args) {
  const { stdout } = await run(command, args, { timeout: 60_000, killSignal: 'SIGKILL' });
  return JSON.parse(stdout);
}

test('a thousand interruptions a second change nothing', async () => {
  const seen = await answer(process.execPath, [fixture('stormed.js')]);
  const { signals, rounds, ...rest } = seen;
  assert.ok(signals >= 300, `${signals} signals were seen`);
  assert.deepStrictEqual(rest, { echoed: rounds * 3_000, handles: rounds * 50, left: { messages: 0, bytes: 0 }, errors: [] });
});

test('writing to a peer that is gone is EPIPE, also where SIGPIPE would end the process', { skip: process.platform === 'win32' && 'no signals on Windows' }, async () => {
  const seen = await answer(process.execPath, [fixture('pipe.js')]);
  if (process.platform === 'linux') assert.strictEqual(seen.ignored, false, 'SIGPIPE has its default');
  assert.deepStrictEqual(seen.codes, ['EPIPE', 'EPIPE', 'EPIPE']);
  assert.strictEqual(seen.served, true);
});

for (const spare of [0, 1, 2, 3]) {
  for (const type of ['net.Socket', 'net.Server']) {
    test(`with room for ${spare} more descriptors a ${type} arrives or its message says why not, and the sender is told`, async () => {
      const seen = await answer('sh', ['-c', 'ulimit -n 64; exec "$@"', 'sh', process.execPath, fixture('full.js'), String(spare), type]);
      assert.strictEqual(seen.opened, true, 'descriptors can be opened again');
      assert.strictEqual(seen.served, true, 'the other child is served');
      assert.strictEqual(seen.handles + seen.problems.length, seen.messages, JSON.stringify(seen));
      assert.ok(seen.problems.every((reason) => reason === 'lost'), JSON.stringify(seen));
      // A socket that was lost is asked for again, its message waits; others come without their handle.
      assert.strictEqual(seen.messages, seen.acknowledged + (type === 'net.Socket' ? 0 : seen.refused));
      assert.strictEqual(seen.acknowledged + seen.refused, seen.sent);
      if (spare > 0) assert.ok(seen.handles >= 1, JSON.stringify(seen));
      assert.strictEqual(seen.last, 'after', 'later messages arrive');
    });
  }
}
