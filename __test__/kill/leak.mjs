// What a long life leaves: `node --expose-gc __test__/kill/leak.mjs [messages] [handles] [forks]`.
//
// Messages and handles through one channel, requests a tenth of which are never answered, then forks.
// Prints memory and descriptors along the way; exits 1 when either keeps growing.
import net from 'node:net';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const rsipc = require('../../index.js');
const { hostile } = require('../hostile/peer.js');
const { frame } = require('../hostile/frames.js');
const { descriptors, opened, settles, until, resident, Witness, ECHO } = require('../hostile/ledger.js');

const [messages, handles, forks] = [process.argv[2] ?? 1_000_000, process.argv[3] ?? 10_000, process.argv[4] ?? 500].map(Number);
const MIB = 2 ** 20;
const STEPS = 10;
const faults = [];
if (typeof globalThis.gc !== 'function') console.log('without --expose-gc: the figures for memory are rough');

// Does `count` things in steps and looks at what is left after each. The first steps fill caches.
async function phase(name, count, limit, step) {
  const memory = [];
  const fds = [];
  const started = Date.now();
  for (let number = 0; number < STEPS; number++) {
    await step(Math.ceil(count / STEPS), number);
    await new Promise((resolve) => setTimeout(resolve, 50));
    memory.push(resident());
    fds.push(descriptors().size);
  }
  const slope = (memory.at(-1) - memory.at(-4)) / 3;
  const more = Math.max(...fds.slice(1)) - fds[0];
  console.log(`${name}: ${count} in ${((Date.now() - started) / 1e3).toFixed(1)} s; RSS ${memory.map((bytes) => Math.round(bytes / MIB)).join(' ')} MiB, ` +
    `${(slope / MIB).toFixed(2)} MiB a step over the last three; ${more} descriptors more`);
  if (slope > limit * MIB) faults.push(`${name}: memory grows by ${(slope / MIB).toFixed(2)} MiB a step`);
  if (more > 2) faults.push(`${name}: ${more} descriptors more`);
}

const witness = new Witness();
await witness.check();
const before = await opened();
const server = net.createServer().listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));

for (const serialization of ['json', 'advanced']) {
  const { child } = new Witness({ serialization });
  let back = 0;
  child.on('message', (message, handle) => {
    back++;
    handle?.close();
  });
  await phase(`messages there and back, ${serialization}`, messages / 2, 2, async (count) => {
    const goal = back + count;
    for (let number = 0; number < count; number++) {
      if (!child.send({ number, text: 'some text of a common size' })) await child.channel.ready();
    }
    await until(() => back === goal, 'the messages to come back', 120_000);
  });
  await phase(`servers there and back, ${serialization}`, handles / 2, 2, async (count) => {
    const goal = back + count;
    for (let number = 0; number < count; number += 50) {
      for (let more = 0; more < 50; more++) child.send(number, server);
      const now = goal - count + number + 50;
      await until(() => back >= now, 'the handles to come back', 120_000);
    }
  });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.disconnect();
  await exited;
}

// Nine of ten are answered at once by a scripted peer; the tenth ends with its time.
const peer = hostile({ record: false });
await peer.do('reading', { on: true, keep: false });
await peer.send(frame('json', { cmd: 'NODE_RSIPC', act: 'hello', version: 1, reply: true }));
let asked = 0;
await phase('requests, a tenth never answered', messages / 10, 2, async (count) => {
  const first = asked + 1;
  const all = Array.from({ length: count }, () => {
    asked++;
    return peer.child.request(asked, { timeout: 2_000 }).catch(() => {});
  });
  const replies = [];
  for (let id = first; id <= asked; id++) if (id % 10 !== 0) replies.push(frame('json', { cmd: 'NODE_RSIPC', act: 'reply', id, body: id }));
  await peer.send(Buffer.concat(replies));
  await Promise.all(all);
});
await peer.end();

await phase('forks', forks, 1.5, async (count) => {
  for (let number = 0; number < count; number++) {
    // Every tenth is a Node; `cat` says the rest back in no time.
    const child = number % 10 === 0 ? rsipc.fork(ECHO) : rsipc.spawn('sh', ['-c', 'exec cat <&3 >&3 2>/dev/null'], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    const echoed = new Promise((resolve) => child.once('message', resolve));
    const closed = new Promise((resolve) => child.once('exit', resolve));
    child.send('hello');
    await echoed;
    child.disconnect();
    await closed;
  }
});
server.close();
await witness.check();
await settles(before).catch((error) => faults.push(error.message));
await witness.end();
for (const fault of faults) console.log(`FAULT ${fault}`);
console.log(faults.length === 0 ? 'no faults' : `${faults.length} faults`);
process.exit(faults.length === 0 ? 0 : 1);
