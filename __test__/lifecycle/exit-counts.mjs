// How many messages arrive that were sent just before `process.exit(0)`:
// `node __test__/lifecycle/exit-counts.mjs [runs of 1 KB, 1 MB and 20,000 small ones] [runs of 100 MB] [transport]`.
//
// Each run is a child that runs rsipc, sends and exits at once; the parent runs rsipc too and reads at its pace. With
// the transport 'ring' the child waits until it sends through shared memory, before it begins. Exits with 1 when one is
// missing or damaged.
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { fork, parent } from '../../index.mjs';

const self = fileURLToPath(import.meta.url);

if (process.argv[2] === 'child') {
  const size = Number(process.argv[3]);
  const count = Number(process.argv[4]);
  const text = 'x'.repeat(size);
  if (process.argv[5] === 'ring') {
    while (parent.channel.transport !== 'ring') await new Promise(setImmediate);
  }
  for (let i = 0; i < count; i++) process.send(count === 1 ? text : { i, text });
  process.exit(0);
}

async function run(size, count) {
  const child = fork(self, ['child', size, count, transport], { maxMessageSize: 256 * 1024 * 1024, execArgv: [], transport });
  let whole = 0;
  child.on('message', (message) => {
    if (count === 1 ? message.length === size : message.i === whole && message.text.length === size) whole++;
  });
  const [code] = await once(child, 'close');
  return code === 0 ? whole : 0;
}

const many = Number(process.argv[2] ?? 1_000);
const few = Number(process.argv[3] ?? 20);
const transport = process.argv[4] ?? 'socket';
let failed = false;
for (const [name, size, count, runs] of [['1 KB', 1_000, 1, many], ['1 MB', 1_000_000, 1, many], ['100 MB', 100_000_000, 1, few], ['20,000 small', 16, 20_000, Math.min(many, 50)]]) {
  let arrived = 0;
  let next = 0;
  await Promise.all(Array.from({ length: 2 }, async () => {
    while (next++ < runs) {
      const whole = await run(size, count);
      arrived += whole;
    }
  }));
  failed ||= arrived !== runs * count;
  console.log(`${name}: ${arrived} of ${runs * count} delivered, ${runs} exits, ${transport}`);
}
process.exitCode = failed ? 1 : 0;
