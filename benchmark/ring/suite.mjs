// The suite `ring`: JavaScript to JavaScript through shared memory, beside the channel of node:child_process or, where
// that has no such thing, beside copying the same bytes in one process. A scenario is one file for both: without
// `Ring` in the module it does what the rival does.

import { fileURLToPath } from 'node:url';

const MORE = 'more';
const LESS = 'less';
const MIB = (1024 * 1024) / 1e6;

/**
 * As in the suite `fork`. `target` is the least ratio to reach; with `orAtLeast` that value of our own will do, and
 * with `atLeast` nothing else counts.
 */
export const scenarios = [
  { name: '64 B round trip, p50, asleep', file: 'round-trip.js', spin: 0, total: 10_000, quick: 2_000, unit: 'µs', better: LESS, target: 1.54 },
  { name: '64 B round trip, p50, asleep, not pinned', file: 'round-trip.js', spin: 0, total: 10_000, quick: 2_000, unit: 'µs', better: LESS, target: 1.54, pinned: false },
  { name: '64 B round trip, p50, spinning', file: 'round-trip.js', spin: 1_000, total: 10_000, quick: 2_000, unit: 'µs', better: LESS, target: 5 },
  { name: '64 B records in batches', file: 'batches.js', total: 2_000_000, quick: 400_000, rivalTotal: 100_000, unit: 'rec/s', better: MORE, atLeast: 3e6 },
  { name: '1 MiB records by view (beside memcpy)', file: 'views.js', total: 3_000, quick: 600, unit: 'MB/s', scale: MIB, better: MORE, target: 0.8, orAtLeast: 5_000 },
];

/** What runs one scenario. */
export const parent = fileURLToPath(new URL('parent.js', import.meta.url));

/** The module we are held against. */
export const rival = { name: 'child_process', moduleName: 'node:child_process' };
