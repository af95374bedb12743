// What `require('rsipc/cluster')` gives: node:cluster, with what rsipc adds. Types of Node's own come from @types/node.

/// <reference types="node" />

import type { Cluster as NodeCluster, ClusterSettings as NodeSettings, Worker as NodeWorker } from 'node:cluster';
import type { Worker as Thread } from 'node:worker_threads';
import type { ChannelEnd, ChannelOptions, IpcChildProcess } from './index.js';

// eslint-disable-next-line no-redeclare -- a namespace beside a value is how `export =` has types
declare namespace cluster {
  /**
   * Node's settings, and options of the workers' channels, but for `transport`: a worker speaks Node's protocol, which has
   * no other than the socket.
   */
  interface ClusterSettings extends NodeSettings, Omit<ChannelOptions, 'transport'> {
    /**
     * Who gets the next connection. With `'reuseport'` workers accept for themselves, each from a socket of its own that
     * shares the port (Linux, TCP; elsewhere it is `'round-robin'`). `'shared'`, and whether it is that, cannot be changed once there are workers.
     * Default: what `cluster.schedulingPolicy` says.
     */
    scheduling?: 'round-robin' | 'least-connections' | 'least-load' | 'reuseport' | 'shared' | Chooser | undefined;
    /** Milliseconds that a function may take to choose a worker. 1 to 60 000. Default: 50. */
    schedulingBudget?: number | undefined;
    /**
     * Milliseconds that a worker may leave a connection unanswered before another gets it, and before its sticky clients
     * do. Longer for workers whose loop is often blocked for long. 10 to 2 147 483 647. Default: 250, with `sticky` 5 000.
     */
    stallTimeout?: number | undefined;
    /** Lets all connections of a client go to one worker, and says how to tell whose they are. Not with `'shared'` or `'reuseport'`. */
    sticky?: Sticky | undefined;
    /**
     * Runs workers in threads of this process. Not with `cwd`, `uid`, `gid`, `stdio`, `detached`, `inspectPort` and
     * `dieWithParent`, which only processes have. Default: `false`.
     */
    threads?: boolean | undefined;
    /** Whether a worker that ends by itself is started again. Default: `false`. */
    respawn?: boolean | RespawnOptions | undefined;
  }

  /** Says which worker a connection is for; the next one when it answers none. */
  type Chooser = (connection: { remoteAddress?: string; remotePort?: number }, workers: Worker[]) => Worker | undefined;

  /**
   * What tells clients apart: the address, the one that the PROXY protocol names, or a cookie, a header or a parameter of
   * the query in the first request of a connection.
   */
  type Sticky = ({ by: 'ip' | 'proxy'; name?: undefined } | { by: 'cookie' | 'header' | 'query'; name: string }) & {
    /** Milliseconds in which a connection must have said whose it is; else `scheduling` decides. 1 to 60 000. Default: 5 000. */
    timeout?: number | undefined;
  };

  interface RespawnOptions {
    /** Milliseconds before a worker is started again that has ended within ten seconds, twice as long each time. Default: 500. */
    delay?: number | undefined;
    /** The longest of these, in milliseconds. Default: 30 000. */
    maxDelay?: number | undefined;
    /** How many may end like that in a row. Then the cluster emits `'crashLoop'` with an error. Default: 10. */
    limit?: number | undefined;
  }

  interface ReloadOptions {
    /** Milliseconds in which a new worker must be ready, and in which an old one must have ended. Default: 30 000. */
    timeout?: number | undefined;
    /** Milliseconds for clients to come back on kept-alive connections of an old worker. Default: 5000. */
    drain?: number | undefined;
  }

  interface BroadcastOptions {
    /** Wait until a listener has had the message, which needs rsipc in the workers. Default: `false`. */
    receipt?: boolean | undefined;
    /** Milliseconds to wait for that. */
    timeout?: number | undefined;
  }

  interface BroadcastResult {
    worker: Worker;
    /** Why it was not sent; `null` when it was. */
    error: Error | null;
  }

  interface AskOptions {
    /** Milliseconds to wait. 0 to 2 147 483 647. Default: 30 000. */
    timeout?: number | undefined;
    signal?: AbortSignal | undefined;
  }

  interface ConnectOptions extends AskOptions {
    /** How messages of the channel are written. Default: `'json'`. */
    serialization?: 'json' | 'advanced' | undefined;
  }

  interface Worker extends NodeWorker {
    /** With `threads` it is not a process, but has its members; `pid` is this process's. */
    process: IpcChildProcess & { readonly thread?: Thread };
    /** Gives the worker no new connections until `resume`. It keeps those it has. */
    pause(): this;
    /** Undoes `pause`. */
    resume(): this;
  }

  type Cluster = Omit<NodeCluster, 'fork' | 'settings' | 'setupMaster' | 'setupPrimary' | 'worker' | 'workers'> & Additions & ToSiblings;

  /** Channels between workers. */
  interface ToSiblings {
    /**
     * Only in a worker: a channel to another worker, on which the primary has no part. The other one gets its end by
     * `'channel'`, with the number of this worker; what is waited for is that it listens for that.
     */
    connect(id: number, options?: ConnectOptions): Promise<ChannelEnd>;
    /** Only in a worker: the numbers of the others. */
    siblings(options?: AskOptions): Promise<number[]>;
    /** Another worker has made a channel to this one. */
    on(event: 'channel', listener: (end: ChannelEnd, id: number) => void): this;
    once(event: 'channel', listener: (end: ChannelEnd, id: number) => void): this;
  }

  interface Additions {
    /** Starts a worker. `env` is added to this process's environment. */
    fork(env?: any): Worker;
    readonly settings: ClusterSettings;
    setupPrimary(settings?: ClusterSettings): void;
    /** @deprecated `setupPrimary` */
    setupMaster(settings?: ClusterSettings): void;
    /** In a worker: itself, as Node's own cluster has it. */
    readonly worker?: NodeWorker;
    readonly workers?: NodeJS.Dict<Worker>;
    /**
     * Replaces all workers, one after the other, without losing a request. Resolves with the new ones; rejects with
     * `ERR_RSIPC_WORKER_NOT_READY` when one does not get ready, and leaves those that are not replaced yet.
     */
    reload(options?: ReloadOptions): Promise<Worker[]>;
    /**
     * Takes the place of the primary that has this name, if there is one: gets what it listens on, and accepts when the
     * workers are ready. To be called before the first `fork`. Resolves with who was before, or `null`; rejects with
     * `ERR_RSIPC_WORKER_NOT_READY`, among others, and then the other one stays.
     *
     * A primary with a name emits `'replaced'` ({ pid }) when another one has taken its place, and exits once its workers have
     * gone unless somebody listens for that; and `'notReplaced'` (error) when one has tried and failed.
     */
    takeOver(name: string, options?: ReloadOptions): Promise<{ pid: number } | null>;
    /** Sends a message to every worker. */
    broadcast(message: any, options?: BroadcastOptions): Promise<BroadcastResult[]>;
  }
}

declare const cluster: cluster.Cluster;
export = cluster;
