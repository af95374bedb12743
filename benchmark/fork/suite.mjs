// The suite `fork`: our channel beside the one in node:child_process, the other end always an
// unmodified Node child. Both modules have the same functions, so a rival is a module's name and
// a scenario is one file that serves both.

import { fileURLToPath } from 'node:url';

const MORE = 'more';
const LESS = 'less';

/**
 * `better`: whether more or less of the unit is better. `target`: the least ratio to reach, or `atMost`: the
 * largest value of our own. `total`: how many messages, sockets or repetitions; `quick`: the same for --quick.
 */
export const scenarios = [
  { name: '64 B round trip, p50', file: 'round-trip.js', kind: '64 B', total: 10_000, quick: 2_000, unit: 'µs', better: LESS, target: 1.0 },
  { name: '64 B parent → child', file: 'to-child.js', kind: '64 B', total: 200_000, quick: 40_000, unit: 'msg/s', better: MORE, target: 1.3 },
  { name: '64 B child → parent', file: 'to-parent.js', kind: '64 B', total: 200_000, quick: 40_000, unit: 'msg/s', better: MORE, target: 1.0 },
  { name: '1 KiB nested parent → child', file: 'to-child.js', kind: '1 KiB nested', total: 40_000, quick: 10_000, unit: 'msg/s', better: MORE, target: 0.95 },
  { name: '1 KiB nested child → parent', file: 'to-parent.js', kind: '1 KiB nested', total: 40_000, quick: 10_000, unit: 'msg/s', better: MORE, target: 0.95 },
  ...buffers('64 KiB Buffer', 64, 20_000, 2_000, 0.95),
  ...buffers('1 MiB Buffer', 1024, 2_000, 200, 1.5),
  { name: 'sockets parent → child', file: 'sockets.js', total: 4_000, quick: 500, unit: 'sockets/s', better: MORE, target: 1.5 },
  { name: '64 B with a callback each', file: 'callbacks.js', kind: '64 B', total: 100_000, quick: 20_000, unit: 'msg/s', better: MORE, target: 0.95 },
  { name: 'growth of the sender, 200,000 unread', file: 'growth.js', kind: '64 B', total: 200_000, quick: 200_000, unit: 'MiB', better: LESS, target: 1.0 },
  { name: 'fork to first message', file: 'first-message.js', total: 9, quick: 3, unit: 'ms', better: LESS, target: 0.95, pinned: false },
  { name: 'require()', file: 'require-time.js', total: 15, quick: 5, unit: 'ms', better: LESS, atMost: 15, pinned: false },
];

/** Both ways for one size of Buffer, in MB/s. */
function buffers(kind, kibibytes, total, quick, target) {
  const megabytes = (kibibytes * 1024) / 1e6;
  const common = { kind, serialization: 'advanced', total, quick, unit: 'MB/s', scale: megabytes, better: MORE, target };
  return [
    { ...common, name: `${kind}, advanced, parent → child`, file: 'to-child.js' },
    { ...common, name: `${kind}, advanced, child → parent`, file: 'to-parent.js' },
  ];
}

/** What runs one scenario. */
export const parent = fileURLToPath(new URL('parent.js', import.meta.url));

/** The module we are held against. */
export const rival = { name: 'child_process', moduleName: 'node:child_process' };
