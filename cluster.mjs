// `import … from 'rsipc/cluster'`: the same by name.

import cluster from './cluster.js';

export default cluster;
export const {
  broadcast, connect, disconnect, fork, isMaster, isPrimary, isWorker, reload, SCHED_NONE, SCHED_RR, schedulingPolicy, settings, setupMaster,
  setupPrimary, siblings, Worker, worker, workers,
} = cluster;
