// `import … from 'rsipc'`: the same exports by name.

import rsipc from './index.js';

export default rsipc;
export const {
  ChildProcess, exec, execFile, execFileSync, execSync, fork, spawn, spawnSync, _forkChild,
  alloc, Barrier, BroadcastChannel, Cell, ChannelEnd, channelPair, cluster, connect, Event, Fd, flushOnSignals, httpOver, Mutex, notify, openBus, parent, peek, release, Ring, RwLock, Semaphore, serve, SharedMap,
  SharedMemory, version,
} = rsipc;
