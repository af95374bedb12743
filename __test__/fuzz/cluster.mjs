// Whole-primary fuzz: `node --expose-gc __test__/fuzz/cluster.mjs SECONDS [SEED] [WORKER]`.
//
// Hostile workers, one after the other, beside an honest one that must serve meanwhile. A primary that throws, hangs,
// grows or leaves a descriptor open ends this with exit code 1 and the seed. With WORKER that one alone is run.
import http from 'node:http';
import { createRequire } from 'node:module';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const { cluster } = require('../../index.js');
const { opened, settles, within, resident } = require('../hostile/ledger.js');

const seconds = Number(process.argv[2] ?? 20);
const seed = Number(process.argv[3] ?? Date.now() % 2 ** 31);
const only = process.argv[4] === undefined ? undefined : Number(process.argv[4]);
const MIB = 1024 * 1024;
const GROWTH = 96 * MIB;
const PATIENCE = 10_000; // ms that a hostile worker may take
const file = (name) => fileURLToPath(new URL(name, import.meta.url));

console.log(`seed ${seed}`);
let current = -1;
function fail(error) {
  console.log(`FAILED at worker ${current}: ${error?.stack ?? error}`);
  console.log(`replay: node --expose-gc __test__/fuzz/cluster.mjs 0 ${seed} ${current}`);
  process.exit(1);
}
process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);
process.on('warning', () => {});

cluster.setupPrimary({ exec: file('../fixtures/cluster/say-id.js'), args: [], execArgv: [] });
const honest = cluster.fork();
const [{ port }] = await once(honest, 'listening');

// The hostile ones may serve too, or never answer: what counts is that the honest one does.
function get() {
  return new Promise((resolve, reject) => {
    const request = http.get({ port, host: '127.0.0.1', agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece) => { text += piece; }).on('end', () => resolve(text)).on('error', reject);
    });
    request.on('error', reject).setTimeout(1_000, () => request.destroy(new Error('no answer')));
  });
}

async function isServed() {
  for (let i = 0; i < 20; i++) if (await get().catch(() => '') === `${honest.id}`) return;
  throw new Error('the honest worker does not serve');
}

const total = { workers: 0, errors: 0, requests: 0 };
async function one(number) {
  cluster.setupPrimary({ exec: file('liar.js'), execArgv: ['--no-warnings'] });
  const worker = cluster.fork({ RSIPC_FUZZ_SEED: `${seed + number * 7919}` });
  worker.on('error', () => {});
  worker.process.on('protocolError', (error) => {
    total.errors++;
    if (!/^ERR_RSIPC_[A-Z_]+$/.test(error.code)) fail(error);
  });
  const closed = new Promise((resolve) => worker.process.once('close', resolve));
  const timer = setTimeout(() => worker.process.kill('SIGKILL'), PATIENCE);
  let over = false;
  closed.then(() => { over = true; });
  while (!over) {
    await Promise.all([get(), get()].map((answer) => answer.then(() => total.requests++, () => {})));
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (!worker.isConnected()) worker.process.kill('SIGKILL'); // what it has to say is said
  }
  clearTimeout(timer);
  await within(isServed(), 'the honest worker', 60_000);
  if (!honest.isConnected()) throw new Error('the honest worker has been let go');
  total.workers++;
}

await isServed();
const end = Date.now() + seconds * 1_000;
let before = null;
let early = 0;
for (let number = only ?? 0; only !== undefined ? number === only : Date.now() < end; number++) {
  current = number;
  await one(number);
  before ??= await opened();
  await settles(before);
  if (total.workers === 5) early = resident();
}
const growth = early === 0 ? 0 : resident() - early;
if (growth > GROWTH) fail(new Error(`memory grew by ${Math.round(growth / MIB)} MiB`));
console.log(`${total.workers} hostile workers, ${total.errors} protocol errors, ${total.requests} requests answered beside them; RSS growth ${(growth / MIB).toFixed(1)} MiB`);
honest.process.kill('SIGKILL');
await once(honest, 'exit');
process.exit(0);
