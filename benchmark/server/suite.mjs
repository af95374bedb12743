// The suite `server`: a server and clients that are not its children, beside what a careful program writes by hand on
// node:net, and beside packages it could take instead. Contenders and scenarios are as in the suite `channel`.

import { fileURLToPath } from 'node:url';
import { installed as zeromq } from '../channel/install.mjs';
import { packages, redis } from './install.mjs';
import * as table from '../channel/table.mjs';

export { table };

const MORE = 'more';
const LESS = 'less';

export const rounds = 5;

const CONTENDERS = {
  auto: { label: 'rsipc', rival: '../../server/rivals/connection.js', ours: true },
  released: { label: 'rsipc, release()', rival: '../../server/rivals/connection.js', ours: true, options: { release: true } },
  lines: { label: 'net by hand', rival: 'lines.js' },
  frames: { label: 'net by hand', rival: '../../server/rivals/frames.js' },
  nodeIpc: { label: 'node-ipc', rival: '../../server/rivals/node-ipc.js' },
  zeromq: { label: 'zeromq', rival: 'zeromq.js' },
  redis: { label: 'ioredis', rival: '../../server/rivals/redis.js' },
  fork: { label: 'child.send()', rival: 'fork.js', options: { serialization: 'json' } },
  idle: { label: 'net by hand', rival: '../../server/rivals/idle.js' },
};

const TEXT = ['auto', 'lines', 'nodeIpc', 'zeromq'];
const BINARY = ['auto', 'frames', 'zeromq'];
const messages = { unit: 'msg/s', better: MORE };

/** As in the suite `channel`. The server is the parent. */
export const scenarios = [
  { name: '64 B client → server', file: 'fork/scenarios/to-parent.js', kind: '64 B', total: 200_000, quick: 60_000, ...messages, sides: TEXT, targets: { lines: 1, nodeIpc: 5 } },
  { name: '64 B server → client', file: 'fork/scenarios/to-child.js', kind: '64 B', total: 200_000, quick: 60_000, ...messages, sides: TEXT, targets: { lines: 1, nodeIpc: 5 } },
  { name: '1 KiB nested', file: 'fork/scenarios/to-parent.js', kind: '1 KiB nested', total: 40_000, quick: 10_000, ...messages, sides: TEXT, targets: { lines: 1 } },
  { name: '64 B round trip, p50', file: 'fork/scenarios/round-trip.js', kind: '64 B', total: 10_000, quick: 2_000, unit: 'µs', better: LESS, sides: TEXT, targets: { lines: 1 } },
  ...buffers('64 KiB Buffer', 64, 20_000, 4_000, { frames: 1 }),
  ...buffers('1 MiB Buffer', 1024, 1_500, 300, { frames: 6, zeromq: 1 }),
  { name: 'broadcast to 8', file: 'channel/scenarios/broadcast.js', kind: '64 B', peers: 8, total: 25_000, quick: 6_000, ...messages, sides: TEXT, targets: { lines: 1 } },
  { name: 'to 8 with one call', file: 'server/scenarios/publish.js', kind: '64 B', peers: 8, total: 100_000, quick: 20_000, ...messages, sides: ['auto', 'redis'], targets: { redis: 5 } },
  { name: 'sockets to an unrelated process', file: 'fork/scenarios/sockets.js', total: 4_000, quick: 500, unit: 'sockets/s', better: MORE, sides: ['auto', 'fork'], targets: { fork: 2.5 } },
  { name: 'an idle connection', file: 'server/scenarios/idle.js', total: 10_000, quick: 3_000, unit: 'B', better: LESS, pinned: false, sides: ['auto', 'idle'], targets: { idle: 1 } },
];

/** A size of Buffer, by copy and by view. */
function buffers(kind, kibibytes, total, quick, targets) {
  const common = { kind, total, quick, unit: 'MB/s', scale: (kibibytes * 1024) / 1e6, better: MORE, targets };
  return [
    { ...common, name: `${kind} by copy`, file: 'fork/scenarios/to-child.js', sides: BINARY },
    { ...common, name: `${kind} by view`, file: 'fork/scenarios/to-parent.js', ours: { payload: 'view' }, sides: ['auto', 'released', 'frames', 'zeromq'] },
  ];
}

/** Contenders that cannot run here. */
const missing = new Set();

/** Installs what the scenarios need and is not part of the project; gives notes on what is left out. */
export function prepare(chosen) {
  const notes = [];
  for (const [key, label, installed] of [['zeromq', 'zeromq', zeromq], ['nodeIpc', 'node-ipc', packages], ['redis', 'ioredis', redis]]) {
    if (!chosen.some(({ sides: keys }) => keys.includes(key))) continue;
    const problem = installed();
    if (problem === undefined) continue;
    missing.add(key);
    notes.push(`${label} is left out: ${problem}`);
  }
  return notes;
}

/** Who is measured in a scenario, `auto` first. */
export function sides(scenario, moduleName) {
  return scenario.sides.filter((key) => !missing.has(key)).map((key) => {
    const { ours, options, ...contender } = CONTENDERS[key];
    return {
      ...contender,
      target: scenario.targets?.[key],
      options: { ...options, ...(ours && scenario.ours) },
      moduleName: ours ? moduleName : 'node:child_process',
    };
  });
}

/** What runs one scenario. */
export const parent = fileURLToPath(new URL('parent.js', import.meta.url));
