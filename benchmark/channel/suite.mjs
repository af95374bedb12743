// The suite `channel`: our channel with rsipc at both ends, beside Node's, beside what a careful program writes by hand
// and beside what it could take instead. A contender is one file in rivals/ that opens an end of a channel in either
// process; a scenario is one file for all of them, those of the suite `fork` where it has them.

import { fileURLToPath } from 'node:url';
import { installed } from './install.mjs';
import * as table from './table.mjs';

export { table };

const MORE = 'more';
const LESS = 'less';

/** Many contenders a scenario: fewer rounds than the other suites, so that a run stays under twenty minutes. */
export const rounds = 5;

/**
 * `auto` is what a program gets that asks for nothing, whatever that is today; the table says which transport it was
 * in the end. `ours`: it gets the options of the scenario as well.
 */
const CONTENDERS = {
  auto: { label: 'rsipc', rival: 'fork.js', ours: true, options: { transport: 'auto' } },
  released: { label: 'rsipc, release()', rival: 'fork.js', ours: true, options: { transport: 'auto', release: true } },
  socket: { label: 'rsipc, socket', rival: 'fork.js', ours: true, options: { transport: 'socket' } },
  json: { label: 'fork json', rival: 'fork.js', options: { serialization: 'json' } },
  advanced: { label: 'fork advanced', rival: 'fork.js', options: { serialization: 'advanced' } },
  lines: { label: 'socket by hand', rival: 'lines.js' },
  zeromq: { label: 'zeromq', rival: 'zeromq.js' },
  port: { label: 'MessagePort', rival: 'port.js', oneProcess: true },
};

const ALL = ['auto', 'socket', 'json', 'advanced', 'lines', 'zeromq', 'port'];
const WITHOUT_ADVANCED = ALL.filter((key) => key !== 'advanced');
const TEXT = ['auto', 'socket', 'json', 'lines'];
const BINARY = ['auto', 'socket', 'advanced', 'zeromq', 'port'];

const TO_CHILD = 'fork/scenarios/to-child.js';
const TO_PARENT = 'fork/scenarios/to-parent.js';
const COLD = 'channel/scenarios/cold.js';
const ROUND_TRIP = 'fork/scenarios/round-trip.js';

const messages = { unit: 'msg/s', better: MORE };
const roundTrip = { file: ROUND_TRIP, kind: '64 B', total: 10_000, quick: 2_000, unit: 'µs', better: LESS };
const many = { kind: '64 B', peers: 8, ...messages };

/**
 * As in the suite `fork`; `file` is a path from benchmark/. `sides`: who is measured. `targets`: the least ratio of
 * `auto` to each of them. `ours`: options that only rsipc gets.
 */
export const scenarios = [
  { name: '64 B parent → child', file: TO_CHILD, kind: '64 B', total: 200_000, quick: 60_000, ...messages, sides: ALL, targets: { json: 6, lines: 2 } },
  { name: '64 B child → parent', file: TO_PARENT, kind: '64 B', total: 200_000, quick: 60_000, ...messages, sides: TEXT, targets: { json: 6, lines: 2 } },
  { name: '64 B both directions at once', file: 'channel/scenarios/both-ways.js', kind: '64 B', total: 100_000, quick: 30_000, ...messages, sides: WITHOUT_ADVANCED },
  { name: '64 B with toJSON', file: TO_CHILD, kind: '64 B, toJSON', total: 200_000, quick: 60_000, ...messages, sides: TEXT, targets: { lines: 1.2 } },
  { name: '64 B without a prototype', file: TO_CHILD, kind: '64 B, bare', total: 200_000, quick: 60_000, ...messages, sides: TEXT, targets: { json: 1, lines: 1.2 } },
  { name: '64 B with a number for a key', file: TO_CHILD, kind: '64 B, numbered', total: 200_000, quick: 60_000, ...messages, sides: TEXT, targets: { json: 1, lines: 1.2 } },
  { name: '64 B as JSON text', file: TO_CHILD, kind: '64 B, text', total: 200_000, quick: 60_000, ...messages, sides: TEXT, targets: { json: 1, lines: 1.2 } },
  { name: '64 B parent → child, cold', file: COLD, kind: '64 B', total: 10_000, quick: 10_000, ...messages, sides: TEXT, targets: { json: 1 } },
  { name: '1 KiB nested, cold', file: COLD, kind: '1 KiB nested', total: 2_000, quick: 2_000, ...messages, sides: TEXT, targets: { json: 1 } },
  { name: '1 KiB nested', file: TO_CHILD, kind: '1 KiB nested', total: 40_000, quick: 10_000, ...messages, sides: ALL, targets: { json: 3 } },
  { name: '1 KiB nested with toJSON', file: TO_CHILD, kind: '1 KiB nested, toJSON', total: 40_000, quick: 10_000, ...messages, sides: TEXT, targets: { json: 1.2 } },
  ...bothPlaces({ ...roundTrip, name: '64 B round trip, p50, asleep', sides: ALL, targets: { json: 1.54 } }),
  ...bothPlaces({ ...roundTrip, name: '64 B round trip, p50, spin: 50', ours: { spin: 50 }, sides: ['auto', 'json', 'lines'], targets: { json: 5 } }),
  ...buffers('64 KiB Buffer', 64, 20_000, 4_000),
  ...buffers('1 MiB Buffer', 1024, 1_500, 300),
  { ...many, name: 'broadcast to 8', file: 'channel/scenarios/broadcast.js', total: 25_000, quick: 6_000, sides: WITHOUT_ADVANCED, targets: { json: 6 } },
  { ...many, name: 'fan-in of 8', file: 'channel/scenarios/fan-in.js', total: 25_000, quick: 6_000, sides: WITHOUT_ADVANCED, targets: { json: 4 } },
  { name: 'growth of the sender, 200,000 unread', file: 'fork/scenarios/growth.js', kind: '64 B', total: 200_000, quick: 200_000, unit: 'MiB', better: LESS, sides: ['auto', 'socket', 'json', 'advanced', 'lines'], targets: { json: 3.33 } },
  { name: 'fork to first message', file: 'channel/scenarios/first-message.js', total: 9, quick: 3, unit: 'ms', better: LESS, pinned: false, sides: ['auto', 'socket', 'json'], targets: { json: 0.95 } },
  ...['every key new', '1 MB string', '10,000 keys', 'package-lock.json', 'coordinates'].map(unseen),
];

/** Once with the two ends pinned to a core each, and once where the scheduler puts them. */
function bothPlaces(scenario) {
  return [scenario, { ...scenario, name: `${scenario.name}, not pinned`, pinned: false }];
}

/**
 * A size of Buffer, by copy and by view, in MB/s. By view it is the parent that receives: the options of `fork`
 * certainly hold there.
 */
function buffers(kind, kibibytes, total, quick) {
  const common = { kind, total, quick, unit: 'MB/s', scale: (kibibytes * 1024) / 1e6, better: MORE };
  return [
    { ...common, name: `${kind} by copy`, file: TO_CHILD, ours: { serialization: 'advanced' }, sides: BINARY, targets: { advanced: 3.5, zeromq: 1, port: 1 } },
    { ...common, name: `${kind} by view`, file: TO_PARENT, ours: { serialization: 'advanced', payload: 'view' }, sides: ['auto', 'released', 'advanced', 'zeromq', 'port'], targets: { advanced: 6, zeromq: 1, port: 1 } },
  ];
}

/** What no codec has seen before, or gains little by having seen it. */
function unseen(kind) {
  const [total, quick] = { 'every key new': [60_000, 12_000], '1 MB string': [150, 45], '10,000 keys': [200, 40], 'package-lock.json': [1_500, 300], coordinates: [1_500, 300] }[kind];
  return { name: `unseen: ${kind}`, file: TO_CHILD, kind, total, quick, ...messages, sides: TEXT, targets: { json: 1 } };
}

/** Contenders that cannot run here. */
const missing = new Set();

/** Installs what the scenarios need and is not part of the project; gives notes on what is left out. */
export function prepare(chosen) {
  if (!chosen.some(({ sides: keys }) => keys.includes('zeromq'))) return [];
  const problem = installed();
  if (problem === undefined) return [];
  missing.add('zeromq');
  return [`zeromq is left out: ${problem}`];
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
