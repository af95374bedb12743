// The suite `cluster`: an HTTP server of two workers under load from wrk, with rsipc's primary and with Node's. The
// workers are the same unmodified program.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const MORE = 'more';
const LESS = 'less';
const close = { headers: ['Connection: close'] };

// `total`: seconds under load, or batches handed over; `result`: what of it is the value; `ours`, `beside`: how connections
// come to workers with rsipc and beside it, by handing out unless said.
const seconds = { total: 4, quick: 2, pinned: false, workers: 2, connections: 32, headers: [] };
const rate = { ...seconds, result: 'rate', unit: 'requests/s', better: MORE };
const each = 'a connection for each request';

const all = [
  { ...rate, ...close, name: each, target: 1.5 },
  { ...rate, ...close, name: `${each}, 1 worker`, workers: 1, target: 1.5 },
  { ...rate, ...close, name: `${each}, beside SCHED_NONE`, beside: 'SCHED_NONE', target: 1.0 },
  { ...rate, ...close, name: `${each}, reuseport beside SCHED_NONE`, ours: 'reuseport', beside: 'SCHED_NONE', target: 1.0 },
  { ...rate, ...close, name: `${each}, reuseport beside reusePort`, ours: 'reuseport', beside: 'reusePort', target: 1.0 },
  { ...rate, ...close, name: `${each}, beside one process`, beside: 'one process', workers: 2, total: 4 },
  { ...seconds, ...close, name: `${each}, p99`, result: 'p99', unit: 'ms', better: LESS, target: 1.43 },
  { ...seconds, ...close, name: 'CPU of the primary for each connection', result: 'cpu', unit: 'µs', better: LESS, target: 2.86 },
  { ...seconds, ...close, name: 'CPU of the workers for each connection', result: 'workersCpu', unit: 'µs', better: LESS, target: 1.0 },
  { ...seconds, ...close, name: 'connections of the busier worker', result: 'busiest', unit: '%', better: LESS, atMost: 55 },
  { ...seconds, ...close, name: 'connections of the busier worker, reuseport', ours: 'reuseport', result: 'busiest', unit: '%', better: LESS, atMost: 55 },
  { ...seconds, name: 'hand-over alone', result: 'handover', workers: 1, connections: 400, total: 9, quick: 5, unit: 'sockets/s', better: MORE, target: 2.5 },
  { ...rate, ...close, name: `${each}, one at a time`, connections: 1, target: 1.0 },
  { ...rate, name: 'kept-alive connections', target: 1.0 },
];

// Node has it since 23.1.
const [major, minor] = process.versions.node.split('.').map(Number);
const hasReusePort = major > 23 || major === 23 && minor >= 1;

export const scenarios = all.filter(({ beside }) => beside !== 'reusePort' || hasReusePort);

export const rounds = 5;

/** What runs one scenario. */
export const parent = fileURLToPath(new URL('parent.js', import.meta.url));

/** Who we are held against. */
export const rival = { name: 'node:cluster', moduleName: 'node:cluster' };

/** Says what is missing, before anything is measured. */
export function prepare() {
  if (spawnSync('wrk', ['--version']).error) throw new Error('wrk is missing: bash ci/packages.sh');
  return hasReusePort ? [] : [`Without the row beside \`reusePort\`, which Node ${process.versions.node} does not have.`];
}
