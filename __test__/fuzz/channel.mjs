// Whole-channel fuzz: `node __test__/fuzz/channel.mjs SECONDS [SEED] [CHILD]`.
//
// Hostile children replay mutated frames and descriptors against a live rsipc parent, which runs in a
// process of its own: if it crashes, hangs, leaks a descriptor or memory, or no longer serves an honest
// child, this prints the seed and exits 1. With CHILD that one child is replayed and nothing else.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const seconds = Number(process.argv[2] ?? 60);
const seed = Number(process.argv[3] ?? Date.now() % 2 ** 31);
const only = process.argv[4] === undefined ? undefined : Number(process.argv[4]);
const MIB = 1024 * 1024;
const GROWTH = 64 * MIB;

const program = fileURLToPath(new URL('parent.js', import.meta.url));
const args = only === undefined ? [seed, 0, 0, seconds * 1_000] : [seed, only, 1, 0];
console.log(`seed ${seed}${only === undefined ? '' : `, child ${only} only`}`);
const parent = spawn(process.execPath, ['--expose-gc', '--no-warnings', program, ...args.map(String)], { stdio: ['ignore', 'pipe', 'inherit'] });
const exited = new Promise((resolve) => parent.on('exit', (code, signal) => resolve({ code, signal })));

const total = { children: 0, sends: 0, frames: 0, descriptors: 0, bytes: 0, messages: 0, handles: 0, errors: 0, problems: 0 };
const memory = [];
let current = -1;
let failure = null;
let done = false;
let last = Date.now();

// A parent that says nothing for a minute hangs.
const watchdog = setInterval(() => {
  if (Date.now() - last < 60_000) return;
  failure ??= 'the parent has hung';
  parent.kill('SIGKILL');
}, 1_000);

for await (const line of createInterface({ input: parent.stdout })) {
  last = Date.now();
  const result = JSON.parse(line);
  if (result.begins !== undefined) current = result.begins;
  else if (result.failure !== undefined) failure ??= result.failure;
  else if (result.done) done = true;
  else {
    total.children++;
    memory.push(result.rss);
    for (const name of Object.keys(total)) if (name !== 'children') total[name] += result[name] ?? 0;
    if (only !== undefined) console.log(line);
  }
}
clearInterval(watchdog);
const { code, signal } = await exited;
if (!done) failure ??= `the parent ended by ${signal ?? `exit code ${code}`}`;

// Compared late with early, each by its median: single readings jump.
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
let growth = 0;
if (memory.length >= 40) {
  const quarter = memory.length >> 2;
  growth = median(memory.slice(-quarter)) - median(memory.slice(quarter, 2 * quarter));
  if (growth > GROWTH) failure ??= `memory grew by ${Math.round(growth / MIB)} MiB`;
}
console.log(`${total.children} hostile children, ${total.sends} sends, ${total.frames} frames (${(total.bytes / MIB).toFixed(1)} MiB), ${total.descriptors} descriptors`);
console.log(`parent: ${total.messages} messages, ${total.handles} handles, ${total.errors} protocol errors, ${total.problems} handle problems; RSS growth ${(growth / MIB).toFixed(1)} MiB`);
if (failure !== null) {
  console.log(`FAILED at child ${current}: ${failure}`);
  console.log(`replay: node __test__/fuzz/channel.mjs 0 ${seed} ${current}`);
  process.exitCode = 1;
}
