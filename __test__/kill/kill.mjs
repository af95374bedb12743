// Random kills: `node __test__/kill/kill.mjs [children] [parents] [seed]`.
//
// First children, plain and rsipc, are killed under traffic; then parents with children that must not
// outlive them. Prints figures; exits 1 when a promise was not kept, a descriptor stayed open, a
// bystander was not served, or an orphan lived.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { kill, connections, random } = require('./traffic.js');
const { killParents } = require('./orphans.js');
const { opened, settles, Witness } = require('../hostile/ledger.js');

const [children, parents, seed] = [process.argv[2] ?? 1_000, process.argv[3] ?? 100, process.argv[4] ?? Date.now() % 2 ** 31].map(Number);
const WIDTH = 4;
console.log(`seed ${seed}`);

const faults = [];
const started = Date.now();
const witness = new Witness();
await witness.check();
const shared = await connections();
const before = await opened();
const total = { killed: 0, promised: 0, kept: 0, twice: 0, messages: 0, bySignal: 0 };
const kinds = new Map();
let next = 0;

async function work() {
  while (next < children) {
    const number = next++;
    const { kind, serialization, promised, seen, child } = await kill(shared, random(seed + 2_654_435_761 * number));
    // Callbacks and rejections may follow the close by a turn.
    for (let turn = 0; turn < 50 && promised.kept < promised.made; turn++) await new Promise(setImmediate);
    total.killed++;
    total.promised += promised.made;
    total.kept += promised.kept;
    total.twice += promised.twice;
    total.messages += seen.messages;
    if (child.signalCode === 'SIGKILL') total.bySignal++;
    const name = `${kind} ${serialization}`;
    kinds.set(name, (kinds.get(name) ?? 0) + 1);
    if (promised.kept !== promised.made || promised.twice > 0) faults.push(`child ${number} (${name}): ${promised.made} promised, ${promised.kept} kept, ${promised.twice} twice`);
    if (seen.exit !== 1 || seen.disconnect !== 1 || seen.close !== 1) faults.push(`child ${number} (${name}): ${JSON.stringify(seen)}`);
    const other = seen.errors.filter((code) => !['EPIPE', 'ECONNRESET', 'ERR_IPC_CHANNEL_CLOSED'].includes(code));
    if (other.length > 0) faults.push(`child ${number} (${name}): ${other.join()}`);
    if (number % 50 === 0) await witness.check();
  }
}

try {
  await Promise.all(Array.from({ length: WIDTH }, work));
  await witness.check();
  await settles(before);
} catch (error) {
  faults.push(error.message);
}
shared.close();
await witness.end();
console.log(`${total.killed} children killed in ${((Date.now() - started) / 1e3).toFixed(1)} s, ${total.bySignal} by the signal; ` +
  [...kinds].map(([name, count]) => `${count} ${name}`).join(', '));
console.log(`${total.promised} promises and callbacks, ${total.kept} kept, ${total.twice} twice; ${total.messages} messages came back`);

if (parents > 0) {
  const { killed, late, orphans, forked, latest } = await killParents(parents, random(seed));
  console.log(`${killed} parents killed, ${forked} children seen, ${late} orphans after 1 s, ${orphans} after 10 s; the last child was gone after ${latest} ms`);
  if (late > 0) faults.push(`${late} orphans after 1 s`);
}
for (const fault of faults.slice(0, 20)) console.log(`FAULT ${fault}`);
console.log(faults.length === 0 ? 'no faults' : `${faults.length} faults`);
process.exit(faults.length === 0 ? 0 : 1);
