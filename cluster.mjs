// `import … from 'rsipc/cluster'`: the same by name.

import cluster from './cluster.js';

export default cluster;
export const {
  disconnect, fork, isMaster, isPrimary, isWorker, SCHED_NONE, SCHED_RR, schedulingPolicy, settings, setupMaster, setupPrimary,
  Worker, worker, workers,
} = cluster;
