// What `require('rsipc/cluster')` gives: node:cluster, with what rsipc adds. Types of Node's own come from @types/node.

/// <reference types="node" />

import type { Cluster as NodeCluster, ClusterSettings as NodeSettings, Worker as NodeWorker } from 'node:cluster';
import type { ChannelOptions, IpcChildProcess } from './index.js';


declare namespace cluster {
  /**
   * Node's settings, and options of the workers' channels, but for `transport`: a worker speaks Node's protocol, which has
   * no other than the socket.
   */
  interface ClusterSettings extends NodeSettings, Omit<ChannelOptions, 'transport'> {}

  interface Worker extends NodeWorker {
    process: IpcChildProcess;
    /** Gives the worker no new connections until `resume`. It keeps those it has. */
    pause(): this;
    /** Undoes `pause`. */
    resume(): this;
  }

  interface Cluster extends Omit<NodeCluster, 'fork' | 'settings' | 'setupMaster' | 'setupPrimary' | 'worker' | 'workers'> {
    /** Starts a worker. `env` is added to this process's environment. */
    fork(env?: any): Worker;
    readonly settings: ClusterSettings;
    setupPrimary(settings?: ClusterSettings): void;
    /** @deprecated `setupPrimary` */
    setupMaster(settings?: ClusterSettings): void;
    /** In a worker: itself, as Node's own cluster has it. */
    readonly worker?: NodeWorker;
    readonly workers?: NodeJS.Dict<Worker>;
  }
}

declare const cluster: cluster.Cluster;
export = cluster;
