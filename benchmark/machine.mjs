// Names what a table of figures is worth nothing without: machine, versions, commit, command.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import os from 'node:os';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Load at the start: what else wants the cores makes every figure worse and every ratio doubtful. */
export const load = os.loadavg()[0];

export function describe({ command, moduleName, rounds, pair }) {
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: `${os.cpus()[0]?.model.trim() ?? 'unknown'}, ${os.cpus().length} cores, ${Math.round(os.totalmem() / 2 ** 30)} GiB`,
    system: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.version,
    module: moduleName,
    version: JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version,
    commit: commit(),
    command,
    rounds,
    load: Number(load.toFixed(1)),
    pinned: pair ? `sender on core ${pair.parentCpu}, receiver on core ${pair.childCpu}` : 'no',
  };
}

/** The commit that was measured; a plus sign says that files differed from it. */
function commit() {
  const git = (...args) => spawnSync('git', ['-C', root, ...args], { encoding: 'utf8' });
  const head = git('rev-parse', '--short', 'HEAD');
  if (head.status !== 0) return 'none';
  return head.stdout.trim() + (git('status', '--porcelain').stdout === '' ? '' : '+');
}

export function heading(about) {
  const words = [
    about.date, about.machine, about.system, `Node ${about.node}`, `rsipc ${about.version} (${about.module})`,
    `commit ${about.commit}`, `\`${about.command}\``, `${about.rounds} round${about.rounds === 1 ? '' : 's'}`, `load ${about.load} at the start`, `pinned: ${about.pinned}`,
  ];
  return words.join(' · ');
}
