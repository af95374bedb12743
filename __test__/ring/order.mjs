// Numbered messages both ways while the channel goes over into shared memory at a random moment:
// `node __test__/ring/order.mjs [messages each way, 1,000,000 unless said] [handles each way, 1,000] [seed]`.
//
// Four runs: JSON, `advanced`, JSON from the first message on, and JSON with a reader at the parent that pauses at random. Every message arrives in
// order and exactly once, is what was sent, and has its handle. Exits with 1 when one does not.
import { createRequire } from 'node:module';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const rsipc = require('../../index.js');
const { Numbered, random } = require('../fixtures/ring/numbered.js');

const program = fileURLToPath(new URL('../fixtures/ring/numbered.js', import.meta.url));
const entry = require.resolve('../../index.js');
const [count, handles, given] = [process.argv[2] ?? 1_000_000, process.argv[3] ?? 1_000, process.argv[4] ?? Date.now() % 2 ** 31].map(Number);
const HANGS = 20_000; // ms without any message

let failed = false;

async function run(name, { serialization, pauses, early }, seed) {
  const settings = { count, handles: pauses ? 0 : handles, seed, early };
  const child = rsipc.fork(program, [JSON.stringify(settings), entry], { serialization, transport: 'ring', execArgv: [] });
  const exited = new Promise((resolve) => child.on('exit', (...how) => resolve(how)));
  const errors = [];
  for (const event of ['error', 'protocolError', 'handleProblem', 'handleTimeout']) child.on(event, (error) => errors.push(`${event}: ${error?.message ?? JSON.stringify(error)}`));
  const mine = new Numbered(child, { count, handles, seed });
  const chance = random(seed ^ 99);
  let report = null;
  const receive = (message, handle) => {
    if (message.faults !== undefined && message.i === undefined) report = message;
    else mine.receive(message, handle);
  };
  const reading = pauses
    ? (async () => {
      // Longer than it takes to fill everything that is between the two.
      for await (const message of child.getEachMessage()) {
        receive(message);
        if (chance() < 20 / count) await delay(chance() * 200);
        else if (chance() < 0.01) await new Promise(setImmediate);
      }
    })()
    : child.on('message', receive);
  const started = performance.now();
  let sending = true;
  await mine.start();
  mine.send().then(() => (sending = false), (error) => errors.push(String(error)));
  for (let before = '', since = performance.now(); report?.done !== true || sending || !mine.done;) {
    await delay(20);
    if (child.connected && !sending && mine.next === count) child.send('report');
    const now = `${mine.next} ${mine.sent} ${mine.heard} ${report?.next} ${report?.sent} ${report?.heard}`;
    if (now !== before) since = performance.now();
    before = now;
    if (performance.now() - since > HANGS || !child.connected) {
      errors.push(`it stands still: ${mine.next} of ${count} have come, ${mine.sent} are sent, ${JSON.stringify(child.channel?.queued)}; the child says ${JSON.stringify(report)}`);
      break;
    }
  }
  const transport = `${child.channel?.transport} ${report?.transport}`;
  mine.close();
  if (child.connected) child.disconnect();
  const hung = delay(10_000, 'hung', { ref: false });
  if (await Promise.race([exited, hung]) === 'hung') {
    errors.push('the child does not end');
    child.kill('SIGKILL');
  }
  await reading;
  const faults = [...errors, ...mine.faults, ...(report?.faults ?? [])];
  if (transport !== 'ring ring') faults.push(`transport: ${transport}`);
  const seconds = (performance.now() - started) / 1e3;
  console.log(`${name}: ${mine.next} and ${report?.next} of ${count} in order, ${mine.handles} and ${report?.handles} handles, ${seconds.toFixed(1)} s, seed ${seed}, ${faults.length} faults`);
  for (const fault of faults.slice(0, 10)) console.log(`  ${fault}`);
  failed ||= faults.length > 0;
}

await run('json', { serialization: 'json' }, given);
await run('advanced', { serialization: 'advanced' }, given + 10);
await run('json, from the first message', { serialization: 'json', early: true }, given + 20);
await run('json, a reader that pauses', { serialization: 'json', pauses: true }, given + 30);
process.exitCode = failed ? 1 : 0;
