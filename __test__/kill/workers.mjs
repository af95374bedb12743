// Worker threads under traffic: `node __test__/kill/workers.mjs [workers] [seed]`.
//
// Starts and terminates that many threads with rsipc channels inside, and a tenth as many in a child that
// write to its parent. Prints figures; exits 1 on a crash, an error, an open descriptor or a torn message.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const rsipc = require('../../index.js');
const { terminate } = require('./workers.js');
const { random } = require('./traffic.js');
const { opened, settles, resident, Witness } = require('../hostile/ledger.js');

const [count, seed] = [process.argv[2] ?? 1_000, process.argv[3] ?? Date.now() % 2 ** 31].map(Number);
console.log(`seed ${seed}`);
const faults = [];
const witness = new Witness();
await witness.check();
await terminate(4, random(seed)); // code and threads that Node keeps
const before = await opened();
const memory = resident();
const started = Date.now();
const { terminated, talked, messages, errors } = await terminate(count, random(seed));
await witness.check();
await settles(before).catch((error) => faults.push(error.message));
faults.push(...errors);
console.log(`${terminated} threads terminated in ${((Date.now() - started) / 1e3).toFixed(1)} s, ${talked} while they talked, ${messages} messages; ` +
  `RSS ${((resident() - memory) / 2 ** 20).toFixed(1)} MiB more`);

const child = rsipc.fork(fileURLToPath(new URL('fixtures/threads.js', import.meta.url)), [String(Math.ceil(count / 10)), String(seed)]);
const next = new Map();
let whole = 0;
let result;
child.on('message', (message) => {
  if (message.result) {
    ({ result } = message);
    return;
  }
  whole++;
  // What arrives of a thread is what it wrote first, in order.
  if (message.number !== (next.get(message.thread) ?? 0)) faults.push(`thread ${message.thread}: ${message.number} after ${next.get(message.thread)}`);
  next.set(message.thread, message.number + 1);
});
child.on('protocolError', (error) => faults.push(error.message));
const [code, signal] = await new Promise((resolve) => child.once('exit', (...how) => resolve(how)));
if (code !== 0) faults.push(`the child with threads ended by ${signal ?? code}`);
if (result === undefined) faults.push('the child with threads did not finish');
else faults.push(...result.errors);
console.log(`${result?.terminated} threads of a child terminated, ${whole} messages of ${next.size} threads, all whole and in order: ${faults.length === 0}`);
await witness.end();
for (const fault of faults.slice(0, 20)) console.log(`FAULT ${fault}`);
process.exit(faults.length === 0 ? 0 : 1);
