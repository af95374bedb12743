// The suite `cluster`: an HTTP server of two workers under load from wrk, with rsipc's primary and with Node's. The
// workers are the same unmodified program.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const MORE = 'more';
const LESS = 'less';
const close = { headers: ['Connection: close'] };

// `total`: seconds under load; `result`: what of it is the value; `beside`: Node's scheduling, round robin unless said.
const seconds = { total: 4, quick: 2, pinned: false, workers: 2, connections: 32, headers: [] };

export const scenarios = [
  { ...seconds, ...close, name: 'a connection for each request', result: 'rate', unit: 'requests/s', better: MORE, target: 1.5 },
  { ...seconds, ...close, name: 'a connection for each request, beside SCHED_NONE', result: 'rate', beside: 'none', unit: 'requests/s', better: MORE, target: 1.0 },
  { ...seconds, ...close, name: 'a connection for each request, p99', result: 'p99', unit: 'ms', better: LESS, target: 1.43 },
  { ...seconds, ...close, name: 'CPU of the primary for each connection', result: 'cpu', unit: 'µs', better: LESS, target: 2.86 },
  { ...seconds, ...close, name: 'connections of the busier worker', result: 'busiest', unit: '%', better: LESS, atMost: 55 },
  { ...seconds, ...close, name: 'a connection for each request, one at a time', connections: 1, result: 'rate', unit: 'requests/s', better: MORE, target: 1.0 },
  { ...seconds, name: 'kept-alive connections', result: 'rate', unit: 'requests/s', better: MORE, target: 1.0 },
];

export const rounds = 5;

/** What runs one scenario. */
export const parent = fileURLToPath(new URL('parent.js', import.meta.url));

/** Who we are held against. */
export const rival = { name: 'node:cluster', moduleName: 'node:cluster' };

/** Says what is missing, before anything is measured. */
export function prepare() {
  if (spawnSync('wrk', ['--version']).error) throw new Error('wrk is missing: bash ci/packages.sh');
  return [];
}
