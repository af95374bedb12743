// `import … from 'rsipc'`: the same exports by name.

import rsipc from './index.js';

export default rsipc;
export const {
  ChildProcess, exec, execFile, execFileSync, execSync, fork, spawn, spawnSync, _forkChild,
  Cell, Fd, flushOnSignals, parent, Ring, SharedMemory, version,
} = rsipc;
