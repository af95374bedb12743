// The long forms of the hostile tests: `node __test__/hostile/long.mjs`. Minutes, not seconds.
//
// A hundred thousand messages with descriptors nobody asked for; a longer session cut at every byte; how
// late timers are under a flood; 100 MB each way by flushing alone. Prints figures; exits 1 on a fault.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const rsipc = require('../../index.js');
const { hostile, replay, file } = require('./peer.js');
const { SERIALIZATIONS, frame, envelope } = require('./frames.js');
const { opened, settles, until, Witness } = require('./ledger.js');

const faults = [];
const check = (condition, what) => {
  if (!condition) faults.push(what);
};
const witness = new Witness();
await witness.check();
const before = await opened();

for (const [name, make, options] of [
  ['unasked', (fds) => frame('json', { fds }), {}],
  ['refused', (fds) => envelope('json', 'net.Socket', { fds }), { acceptHandles: [] }],
]) {
  const started = Date.now();
  const peer = hostile({ record: false, ...options });
  let count = 0;
  peer.child.on('message', (message, handle) => {
    count++;
    check(handle === undefined, 'a handle was shown');
  });
  peer.child.on('handleProblem', () => {});
  await peer.do('reading', { on: true, keep: false });
  let sent = 0;
  let descriptors = 0;
  for (let fds = 1; fds <= 60; fds++) {
    const times = Math.ceil(50_000 / 60);
    await peer.send(make(fds), { fds: Array(fds).fill(fds % 2 ? 'unix-stream' : 'memfd'), times });
    sent += times;
    descriptors += times * fds;
  }
  await until(() => count === sent, 'all messages', 120_000);
  await peer.end();
  await settles(before).catch((error) => faults.push(error.message));
  console.log(`${sent} messages with ${descriptors} ${name} descriptors in ${((Date.now() - started) / 1e3).toFixed(1)} s, none left open: ${faults.length === 0}`);
}

for (const serialization of SERIALIZATIONS) {
  const messages = Array.from({ length: 60 }, (_, number) => ({ number, text: 'é€😀'.repeat(number % 5), list: [null, number] }));
  const frames = messages.map((message) => frame(serialization, message));
  const bytes = Buffer.concat(frames);
  const ends = [];
  for (const each of frames) ends.push((ends.at(-1) ?? 0) + each.length);
  const name = file(bytes);
  let cut = 0;
  await Promise.all(Array.from({ length: 4 }, async () => {
    while (cut <= bytes.length) {
      const length = cut++;
      const seen = await replay(name, length, { serialization });
      const whole = ends.filter((end) => end <= length).length;
      const rest = length - (whole === 0 ? 0 : ends[whole - 1]);
      check(seen.messages.length === whole, `cut at ${length}: ${seen.messages.length} messages for ${whole}`);
      check(seen.errors.map((error) => error.code).join() === (rest === 0 ? '' : 'ERR_RSIPC_TRUNCATED'), `cut at ${length}: ${seen.errors.map((error) => error.code)}`);
    }
  }));
  console.log(`a session of ${bytes.length} bytes cut at each of them, ${serialization}: ${faults.length === 0}`);
}

{
  const peer = hostile({ record: false });
  const lags = [];
  let total = 0;
  peer.child.on('message', () => total++);
  let due = performance.now() + 5;
  const timer = setInterval(() => {
    lags.push(Math.max(0, performance.now() - due));
    due = performance.now() + 5;
  }, 5);
  await peer.send(Buffer.concat(Array(5_000).fill(frame('json', { flood: 'of small messages' }))), { times: 400 });
  await until(() => total === 2_000_000, 'the flood', 120_000);
  clearInterval(timer);
  await peer.end();
  lags.sort((a, b) => a - b);
  const at = (part) => lags[Math.min(lags.length - 1, Math.floor(lags.length * part))].toFixed(1);
  console.log(`timers under a flood of ${total} messages: lag ${at(0.5)} ms p50, ${at(0.99)} ms p99, ${at(1)} ms at most, ${lags.length} ticks`);
}

{
  const started = Date.now();
  const { flush, expect } = require('./fixtures/flusher.js');
  const child = rsipc.fork(new URL('fixtures/flusher.js', import.meta.url), ['100'], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const received = expect(child, 100);
  await new Promise((resolve) => child.once('spawn', resolve));
  flush(child, 100);
  check(await received === 'complete', 'the other half');
  check(await exited === 0, 'the exit code');
  console.log(`100 MB each way by flushing alone: ${((Date.now() - started) / 1e3).toFixed(1)} s`);
}

await witness.check();
await witness.end();
for (const fault of new Set(faults)) console.log(`FAULT ${fault}`);
process.exit(faults.length === 0 ? 0 : 1);
