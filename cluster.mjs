// `import … from 'rsipc/cluster'`: the same by name.

import cluster from './cluster.js';

export default cluster;
export const {
  broadcast, disconnect, fork, isMaster, isPrimary, isWorker, reload, SCHED_NONE, SCHED_RR, schedulingPolicy, settings, setupMaster, setupPrimary,
  Worker, worker, workers,
} = cluster;
