// What `require('rsipc')` gives, with every option, its unit, range and default. Written by hand.
//
// Everything `node:child_process` exports is here unchanged, except `fork` and `spawn`, which take the
// options below and return a child with a few more methods. Types of Node's own come from @types/node.

/// <reference types="node" />

import type { EventEmitter } from 'node:events';
import type { Agent, AgentOptions } from 'node:http';
import type { Server as NetServer, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ConnectionOptions as TlsConnectionOptions, TlsOptions } from 'node:tls';
import type { URL } from 'node:url';
import type {
  ChildProcess,
  ForkOptions as NodeForkOptions,
  MessageOptions,
  SendHandle,
  Serializable,
  SpawnOptions as NodeSpawnOptions,
  spawn as nodeSpawn,
} from 'node:child_process';

export * from 'node:child_process';

/** What `rsipc/cluster` exports: in a primary rsipc's cluster, in a worker Node's own, with channels to its siblings. */
export const cluster: import('./cluster.js').Cluster;

/** The version of this package. */
export const version: string;

// ---- options ----

/** A handle type by its name on the wire. `'fd'` is an {@link Fd}; all others are Node's own. */
export type HandleKind =
  | 'net.Socket'
  | 'net.Server'
  | 'net.Native'
  | 'net.BoundSocket'
  | 'dgram.Socket'
  | 'dgram.Native'
  | 'fd';

/** The size of the outbox from which `send` returns `false`. Whichever is reached first counts. */
export interface HighWaterMark {
  /** Bytes accepted and not yet taken by the kernel. At least 1. Default: 131 072, which is Node's. */
  bytes?: number | undefined;
  /** Messages accepted and not yet taken by the kernel. At least 1. Default: 65 536. */
  messages?: number | undefined;
}

/**
 * What `fork` and `spawn` understand beyond Node's options. They govern the caller's end of the
 * channel; the child's end has the defaults. A value out of range throws `ERR_OUT_OF_RANGE`, one of
 * the wrong type `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`, before anything is started.
 */
export interface ChannelOptions {
  /**
   * What carries the messages:
   * - `'auto'`: memory that both processes share, once both have shown that they are rsipc, and the
   *   socket before that and with any other peer;
   * - `'socket'`: never anything but the socket;
   * - `'ring'`: as `'auto'`, asked for at once. A child that is not rsipc is told as an `'error'`
   *   event with `ERR_RSIPC_PLAIN_PEER`, one that shares no memory with `ERR_RSIPC_NO_RING`; the
   *   channel goes on as a socket.
   *
   * Unless it is `'socket'`, `fork` preloads a small file into a child of the same Node, so that the
   * child's program need not load rsipc.
   *
   * Order is kept across the change. `channel.transport` says what is used now.
   * Default: the variable `RSIPC_TRANSPORT` if it is one of these, else `'auto'`.
   */
  transport?: 'auto' | 'socket' | 'ring' | undefined;
  /**
   * Microseconds to look for more messages in shared memory before the event loop sleeps. A round
   * trip then costs no wake-up, but a processor is busy for as long. It is done while messages come at
   * short intervals and nothing else waits for the loop, and ever more rarely where it is in vain. 0 to
   * 10 000; 0 for never. Default: 100, and 0 where there is one processor.
   */
  spin?: number | undefined;
  /**
   * How Buffers, typed arrays and DataViews of 16 KiB and more are received that come through shared
   * memory, with `serialization: 'advanced'`:
   * - `'copy'`: as under Node, in memory of their own;
   * - `'view'`: where their sender has put them, without a copy. The sender could still write there.
   *   The memory goes back when the Buffer is collected, or with {@link release}.
   *
   * In a child set `channel.payload`. Default: `'copy'`.
   */
  payload?: 'copy' | 'view' | undefined;
  /**
   * Bytes of large Buffers that may be lent to the other end at once. Beyond, and with 0 always, they
   * travel within their messages. Memory is taken as it is used. 0 to 536 870 912. Default: 134 217 728 (128 MiB).
   */
  maxSharedBytes?: number | undefined;
  /** Where backpressure begins. A number means bytes. */
  highWaterMark?: number | HighWaterMark | undefined;
  /**
   * Bytes of the longest message that is received. A longer one is never kept in memory: it is a
   * protocol error, `ERR_RSIPC_MESSAGE_TOO_LARGE`. 1 to 4 294 967 295; as JSON it is never more than
   * V8's longest string, less 64 MiB. Default: 67 108 864 (64 MiB).
   */
  maxMessageSize?: number | undefined;
  /**
   * Levels of nesting of a received message. A deeper one is a protocol error,
   * `ERR_RSIPC_TOO_DEEP`. 1 to 100 000. Default: 512.
   */
  maxDepth?: number | undefined;
  /**
   * Bytes of messages that are kept for a `'message'` listener that does not exist yet; a handle
   * counts for 65 536. Above it the channel is not read until there is one, so the peer is slowed
   * down and nothing is lost.
   * 0 or more, `Infinity` for no limit. Default: 67 108 864 (64 MiB).
   */
  maxEarlyBytes?: number | undefined;
  /**
   * Milliseconds a message may stay incomplete, after which it is a protocol error,
   * `ERR_RSIPC_FRAME_TIMEOUT`. 1 or more, `Infinity` to wait forever. Default: 30 000.
   */
  frameTimeout?: number | undefined;
  /**
   * Milliseconds after which a handle that the peer has not answered for is told with the
   * `'handleTimeout'` event. Nothing else happens. 1 or more, `Infinity` for never. Default: 30 000.
   */
  handleTimeout?: number | undefined;
  /**
   * Milliseconds without any progress after which writing at `process.exit()` is given up. While
   * the peer takes something, writing goes on. 0 or more. Default: 2 000.
   */
  flushDeadline?: number | undefined;
  /**
   * What follows a protocol error, after the `'protocolError'` event:
   * - `'disconnect'`: the channel ends;
   * - `'drop'`: only the offending message is dropped;
   * - `'kill'`: the channel ends and the child gets SIGKILL.
   *
   * Default: `'disconnect'`.
   */
  onProtocolError?: 'disconnect' | 'drop' | 'kill' | undefined;
  /**
   * The kinds of handles that are taken. Others are closed before anyone sees them, and the message
   * arrives without, behind a `'handleProblem'` event. Default: every kind.
   */
  acceptHandles?: readonly HandleKind[] | undefined;
  /**
   * The child ends when this process does, however this process ends. It is preloaded with
   * `--require`, so the child must be Node. Default: `false`.
   */
  dieWithParent?: boolean | undefined;
}

/** Options of {@link fork}: Node's and ours. */
export interface ForkOptions extends NodeForkOptions, ChannelOptions {}

/** Options of {@link spawn}: Node's and ours. Ours matter when `stdio` has an `'ipc'` entry. */
export interface SpawnOptions extends NodeSpawnOptions, ChannelOptions {}

/** Options of every wait. */
export interface WaitOptions {
  /** Milliseconds to wait, then the promise rejects with `ERR_RSIPC_TIMEOUT`. Default: `Infinity`. */
  timeout?: number | undefined;
  /** Gives the wait up: the promise rejects with an `AbortError`, code `ABORT_ERR`. */
  signal?: AbortSignal | undefined;
}

/** Options of `send` that make it return a promise. */
export interface ReceiptOptions extends MessageOptions, WaitOptions {
  /** Ask for a receipt. The other end must have rsipc loaded. */
  receipt: true;
  /** Milliseconds to wait, at most 2 147 483 647. Default: 30 000. */
  timeout?: number | undefined;
}

/** Options of `getOneMessage`. */
export interface OneMessageOptions extends WaitOptions {
  /** Messages for which this does not return a truthy value are passed over. */
  filter?: ((message: any) => unknown) | undefined;
}

/** Options of `getEachMessage`. */
export interface EachMessageOptions {
  /** Messages for which this does not return a truthy value are passed over. */
  filter?: ((message: any) => unknown) | undefined;
  /** Ends the iteration: it throws an `AbortError`, code `ABORT_ERR`. */
  signal?: AbortSignal | undefined;
}

/** Options of `channel.flushSync` and {@link flushOnSignals}. */
export interface FlushOptions {
  /** Milliseconds without any progress after which to give up. Default: the channel's `flushDeadline`. */
  deadline?: number | undefined;
}

/** Messages and bytes that are accepted and not yet taken by the kernel. */
export interface Queued {
  messages: number;
  bytes: number;
}

// ---- handles ----

/**
 * Any descriptor as a handle: a file, a pipe, a memfd, a device. Both ends must be rsipc, and must
 * know it of each other: send the first one with `{ receipt: true }`, or after a `request`.
 */
export class Fd {
  /** Owns a duplicate of `fd`; the caller's descriptor stays the caller's. */
  constructor(fd: number | { readonly fd: number });
  /** Owns the descriptor itself: the caller must not use the number any more. */
  static adopt(fd: number): Fd;
  /** The number, or -1 once closed, detached or sent. */
  get fd(): number;
  /** `'file'`, `'directory'`, `'fifo'`, `'pipe'`, `'tcp'`, `'udp'`, `'memfd'`, `'eventfd'`, `'tty'`, … */
  get kind(): string;
  /** Gives the descriptor to the caller, who closes it. */
  detach(): number;
  /** Closes the descriptor. Safe to call twice. */
  close(): void;
  [Symbol.dispose](): void;
}

/** What may travel with a message. A shared object is shared: this process keeps its own attachment. */
export type Handle = Exclude<SendHandle, undefined> | Fd | ChannelEnd | Ring | SharedMemory | Cell | SharedMap | Mutex | RwLock | Semaphore | Event | Barrier;

// ---- the channel ----

/** `child.channel`: Node's object with backpressure. Emits `'drain'`. */
export interface Channel extends EventEmitter {
  /** Lets the channel keep the process alive. */
  ref(): void;
  /** Lets the process end although the channel is open. */
  unref(): void;
  /** Whether the channel keeps the process alive. */
  hasRef(): boolean;
  /** The descriptor of this end; `undefined` once closed. */
  readonly fd: number | undefined;
  /** What is accepted and not yet taken by the kernel. */
  readonly queued: Queued;
  /** What this end sends through now: `'ring'` is shared memory. */
  readonly transport: 'socket' | 'ring';
  /** How large Buffers are received from the next message on; see the option of `fork`. */
  payload: 'copy' | 'view';
  /**
   * Resolves when the outbox is below the high-water mark. Rejects with `ERR_RSIPC_PEER_GONE` when
   * the channel ends first.
   */
  ready(options?: WaitOptions): Promise<void>;
  /** Blocks until the outbox is written, and returns what could not be. */
  flushSync(options?: FlushOptions): Queued;
  /** The outbox is below the high-water mark again, after `send` had returned `false`. */
  on(event: 'drain', listener: () => void): this;
  on(event: string | symbol, listener: (...args: any[]) => void): this;
  once(event: 'drain', listener: () => void): this;
  once(event: string | symbol, listener: (...args: any[]) => void): this;
}

/** Why a message that was sent with a handle arrived without it. */
export interface HandleProblem {
  /**
   * - `'refused'`: its kind is not among `acceptHandles`;
   * - `'kind'`: the descriptor is not what its type says;
   * - `'lost'`: it did not survive the way, as when this process had no descriptor left;
   * - `'missing'`: none came.
   */
  reason: 'refused' | 'kind' | 'lost' | 'missing';
  /** The message, which follows as an ordinary `'message'` event. */
  message: any;
}

/** What `'handleTimeout'` tells. */
export interface HandleTimeout {
  /** Handles the peer has not answered for. */
  unacknowledged: number;
  /** The `handleTimeout` option, in milliseconds. */
  timeout: number;
}

/** An error of the peer's bytes. Its text has sizes and kinds, never a part of a message. */
export interface ProtocolError extends Error {
  code: ProtocolErrorCode;
}

/** What a request's handler is given beside the body. */
export interface RequestContext {
  /** Aborted when the asking side gives up or is gone. */
  signal: AbortSignal;
}

/** Answers requests. What it returns, or throws, is the other side's result. */
export type RequestHandler = (body: any, context: RequestContext) => unknown;

/** Events that both ends of a channel have beyond Node's. */
export interface ChannelEvents {
  /** The peer broke the protocol. Without a listener it is a process warning. */
  protocolError: [error: ProtocolError];
  /** A message comes without its handle. */
  handleProblem: [problem: HandleProblem];
  /** The peer has not answered for a handle. */
  handleTimeout: [late: HandleTimeout];
}

/** What both ends of a channel can do beyond Node. */
export interface ChannelMethods {
  /**
   * Sends and resolves when the other end's `'message'` listener has been called. Rejects with
   * `ERR_RSIPC_PLAIN_PEER`, `ERR_RSIPC_PEER_GONE`, `ERR_RSIPC_NO_LISTENER`,
   * `ERR_RSIPC_HANDLE_REJECTED` or `ERR_RSIPC_TIMEOUT`.
   */
  send(message: Serializable | null, handle: Handle | null | undefined, options: ReceiptOptions, callback?: (error: Error | null) => void): Promise<void>;
  /** Node's `send`, with any descriptor as a handle. */
  send(message: Serializable | null, handle: Handle | null | undefined, callback?: (error: Error | null) => void): boolean;
  send(
    message: Serializable | null,
    handle: Handle | null | undefined,
    options: MessageOptions | undefined,
    callback?: (error: Error | null) => void,
  ): boolean;
  send(message: Serializable | null, callback?: (error: Error | null) => void): boolean;
  /**
   * Asks the other end and resolves with what its handler returned; rejects with what it threw,
   * rebuilt with name, message, stack and code. Both ends must have rsipc loaded.
   */
  request<Reply = any>(body?: Serializable | null, options?: WaitOptions): Promise<Reply>;
  /** Answers the other end's requests; `null` stops answering. */
  onRequest(handler: RequestHandler | null): void;
  /** The next message that passes `filter`. Messages that came before are looked at first. */
  getOneMessage<Message = any>(options?: OneMessageOptions): Promise<Message>;
  /**
   * Every message until the channel ends. While 1 024 of them wait here the channel is not read, so
   * the peer goes at the reader's pace.
   */
  getEachMessage<Message = any>(options?: EachMessageOptions): AsyncGenerator<Message, void, undefined>;
}

/** Listener methods for {@link ChannelEvents}; put beside Node's own. */
export interface ChannelListeners {
  on<E extends keyof ChannelEvents>(event: E, listener: (...args: ChannelEvents[E]) => void): this;
  once<E extends keyof ChannelEvents>(event: E, listener: (...args: ChannelEvents[E]) => void): this;
}

/** For listeners that name the type of an arriving {@link Fd}. */
export interface HandleListeners {
  on(event: 'message', listener: (message: any, handle: any) => void): this;
  once(event: 'message', listener: (message: any, handle: any) => void): this;
}

/** Options of {@link channelPair}, for both ends. */
export interface ChannelPairOptions extends Omit<ChannelOptions, 'dieWithParent' | 'onProtocolError'> {
  /** How messages are written: as JSON, or in V8's format, which knows more types. Default: `'json'`. */
  serialization?: 'json' | 'advanced' | undefined;
  /** As of `fork`. There is no child to end. Default: `'disconnect'`. */
  onProtocolError?: 'disconnect' | 'drop' | undefined;
}

/** What {@link ChannelEnd.transfer} returns: plain data, good for one {@link ChannelEnd.from} in this process. */
export interface TransferredChannelEnd {
  readonly rsipcChannelEnd: number;
  readonly pid: number;
  readonly serialization: 'json' | 'advanced';
  readonly transport: 'auto' | 'socket' | 'ring';
  readonly offers: boolean;
}

/**
 * An end of a {@link channelPair}. It can be given away until its first use: sent with a message to
 * another rsipc process, or to another thread by {@link ChannelEnd.transfer}. Its first use is `send`,
 * `request`, `onRequest`, or a listener for `'message'` or `'disconnect'`; it reads nothing before that.
 */
export class ChannelEnd extends EventEmitter {
  private constructor();
  /** The end that another thread of this process has made `transferred` of. Throws `ERR_RSIPC_CLOSED` when it was taken already. */
  static from(transferred: TransferredChannelEnd): ChannelEnd;
  /** Whether the channel is open. `false` once the end was given away. */
  readonly connected: boolean;
  /** The channel; `null` once it has ended or the end was given away. */
  readonly channel: Channel | null;
  send: ChannelMethods['send'];
  request: ChannelMethods['request'];
  onRequest: ChannelMethods['onRequest'];
  getOneMessage: ChannelMethods['getOneMessage'];
  getEachMessage: ChannelMethods['getEachMessage'];
  /** Ends the channel; what was accepted is still written. */
  disconnect(): void;
  /** As `disconnect`, or nothing if the channel has ended; resolves when all is written, or nobody takes it. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
  /**
   * Options of this end alone. One that has arrived from another process has the defaults, whatever
   * its sender has chosen. Throws `ERR_RSIPC_CHANNEL_END_IN_USE` after its first use.
   */
  configure(options: Omit<ChannelPairOptions, 'serialization'>): this;
  /** Gives the end to another thread of this process: post what this returns, or make it its `workerData`. */
  transfer(): TransferredChannelEnd;
  /** Lets the end keep the process alive. It does by itself while something listens or waits for an answer. */
  ref(): void;
  /** Lets the process end although somebody listens. */
  unref(): void;
  on(event: 'message', listener: (message: any, handle: any) => void): this;
  on(event: 'disconnect', listener: () => void): this;
  on<E extends keyof ChannelEvents>(event: E, listener: (...args: ChannelEvents[E]) => void): this;
  on(event: string | symbol, listener: (...args: any[]) => void): this;
  once(event: 'message', listener: (message: any, handle: any) => void): this;
  once(event: 'disconnect', listener: () => void): this;
  once<E extends keyof ChannelEvents>(event: E, listener: (...args: ChannelEvents[E]) => void): this;
  once(event: string | symbol, listener: (...args: any[]) => void): this;
}

/**
 * The two ends of a new channel, both of this process at first. Messages sent to an end before it was
 * given away arrive at its new owner. Unix only: elsewhere it throws `ERR_RSIPC_NOT_AVAILABLE`.
 */
export function channelPair(options?: ChannelPairOptions): [ChannelEnd, ChannelEnd];

/** A child with a channel. It is a `ChildProcess`, and can be used wherever one is asked for. */
export type IpcChildProcess = ChannelMethods & ChannelListeners & ChildProcess & HandleListeners & {
  /** The channel; `null` once it has ended. */
  readonly channel: Channel | null;
};

/**
 * `child_process.fork` with our channel. The child may be an unmodified Node script, or a program in
 * another language that speaks Node's protocol. On Windows this is Node's own `fork`: the added
 * options are ignored and the added methods absent.
 */
export function fork(modulePath: string | URL, options?: ForkOptions): IpcChildProcess;
export function fork(modulePath: string | URL, args?: readonly string[], options?: ForkOptions): IpcChildProcess;

/** A `stdio` with an `'ipc'` entry, as far as it can be told from its type. */
export type IpcStdio =
  | readonly ['ipc', ...StdioEntry[]]
  | readonly [StdioEntry, 'ipc', ...StdioEntry[]]
  | readonly [StdioEntry, StdioEntry, 'ipc', ...StdioEntry[]]
  | readonly [StdioEntry, StdioEntry, StdioEntry, 'ipc', ...StdioEntry[]]
  | readonly [StdioEntry, StdioEntry, StdioEntry, StdioEntry, 'ipc', ...StdioEntry[]];

type StdioEntry = Exclude<NodeSpawnOptions['stdio'], string | undefined>[number];

/** {@link SpawnOptions} with a channel. */
export interface IpcSpawnOptions extends Omit<NodeSpawnOptions, 'stdio'>, ChannelOptions {
  stdio: IpcStdio;
}

/** `child_process.spawn` with our channel when `stdio` has an `'ipc'` entry. */
export interface IpcSpawn {
  (command: string, options: IpcSpawnOptions): IpcChildProcess;
  (command: string, args: readonly string[], options: IpcSpawnOptions): IpcChildProcess;
}

/** `child_process.spawn`: with an `'ipc'` entry in `stdio` the channel is ours, else all is Node's. */
export const spawn: IpcSpawn & typeof nodeSpawn;

// ---- the child's side ----

/**
 * The child's side of the channel. `process.send` and `process.on('message')` are the same channel,
 * and a listener here keeps the process alive as one on `process` does.
 */
export interface Parent extends EventEmitter, ChannelMethods {
  /** Whether the channel is open. */
  readonly connected: boolean;
  /** `process.channel`; `null` once it has ended. */
  readonly channel: Channel | null;
  /** The parent's process id. */
  readonly pid: number;
  /** Ends the channel. What was accepted is still written. */
  disconnect(): void;
  on(event: 'message', listener: (message: any, handle: any) => void): this;
  on(event: 'disconnect', listener: () => void): this;
  on<E extends keyof ChannelEvents>(event: E, listener: (...args: ChannelEvents[E]) => void): this;
  once(event: 'message', listener: (message: any, handle: any) => void): this;
  once(event: 'disconnect', listener: () => void): this;
  once<E extends keyof ChannelEvents>(event: E, listener: (...args: ChannelEvents[E]) => void): this;
}

/**
 * What {@link parent} is in a worker thread of the child: messages both ways, no handles. The main
 * thread must have loaded rsipc before.
 */
export interface ThreadParent extends EventEmitter {
  readonly connected: boolean;
  readonly pid: number;
  send(message: Serializable | null, callback?: (error: Error | null) => void): boolean;
  send(message: Serializable | null, handle?: null, options?: { swallowErrors?: boolean }, callback?: (error: Error | null) => void): boolean;
  on(event: 'message', listener: (message: any) => void): this;
  on(event: 'disconnect', listener: () => void): this;
  on(event: 'error', listener: (error: Error) => void): this;
  once(event: 'message', listener: (message: any) => void): this;
  once(event: 'disconnect', listener: () => void): this;
  once(event: 'error', listener: (error: Error) => void): this;
}

/**
 * The child's side of the channel; `undefined` in a process without one. In a worker thread it is a
 * {@link ThreadParent}: write `parent as ThreadParent | undefined` there.
 */
export const parent: Parent | undefined;

/**
 * On one of `signals` (default: `['SIGTERM']`) writes what is queued on every channel and then ends
 * the process as the signal would have, unless other listeners for it exist. Returns a function
 * that takes it back.
 */
export function flushOnSignals(signals?: readonly NodeJS.Signals[], options?: FlushOptions): () => void;

/**
 * A Buffer of `size` zeros that is sent without a copy, whole or in slices, through a channel in shared
 * memory with `serialization: 'advanced'`. What was sent is given away: do not write to it until the
 * other end has said that it has done with it. Small ones, and those there is no room for, are as from
 * `Buffer.alloc`, which also checks `size`.
 */
export function alloc(size: number): Buffer;

/**
 * Gives the memory of a Buffer back that was received by view or copied out of shared memory, or is from
 * {@link alloc}, instead of when it is collected. It is empty from then on, with all its slices; nothing may be
 * using it. `false` for any other value, and the second time.
 */
export function release(buffer: unknown): boolean;

// ---- shared memory: docs/shared-memory.md ----

/** What every shared object is made or opened with. */
export interface SharedOptions {
  /**
   * Under this name other processes of the same user find it: 1 to 128 of `A-Z a-z 0-9 . _ -`, beginning with
   * neither a dot nor a dash. Without a name the object is anonymous and travels as a handle.
   */
  name?: string | undefined;
}

/** Any object in shared memory. It is this process's attachment; others have theirs. */
export interface SharedObject {
  /** Its name; `undefined` when it has none. */
  readonly name: string | undefined;
  readonly kind: 'ring' | 'memory' | 'cell' | 'map' | 'mutex' | 'rwlock' | 'semaphore' | 'event' | 'barrier';
  /** Bytes of memory it takes, its bookkeeping among them; of a `SharedMemory` those of `buffer`. */
  readonly size: number;
  /** Whether `close` was called. */
  readonly closed: boolean;
  /** Gives this attachment back: what it holds is released, views become empty, waits reject with `ERR_RSIPC_CLOSED`. Safe to call twice. */
  close(): void;
  /** Takes the name away, before `close`. Who has the object keeps it; nobody finds it any more. */
  unlink(): void;
  /** Lets waits on this object keep the process alive: the default. */
  ref(): this;
  /** Lets the process end although something waits. */
  unref(): this;
  [Symbol.dispose](): void;
}

/** What may be written: it is copied. A string is written as UTF-8. */
export type SharedData = string | NodeJS.ArrayBufferView | ArrayBuffer | SharedArrayBuffer;

/** Options of waits that may look again and again before they sleep. */
export interface SpinOptions extends WaitOptions {
  /** Microseconds to look again before sleeping, 0 to 10 000: latency for CPU time. Default: 0. */
  spin?: number | undefined;
}

/** Options of waits that block the thread. */
export interface SyncWaitOptions {
  /** Milliseconds to wait, then `ERR_RSIPC_TIMEOUT` is thrown. Default: `Infinity`. */
  timeout?: number | undefined;
  /** Microseconds to look again before sleeping, 0 to 10 000. Default: 20. */
  spin?: number | undefined;
}

export interface RingOptions extends SharedOptions {
  /** Bytes for records, 4 096 to 2 147 483 648; rounded up to a power of two. */
  capacity: number;
  /**
   * - `'spsc'`: one producer, one consumer (default);
   * - `'mpsc'`: many producers, one consumer;
   * - `'broadcast'`: one producer, many consumers, each of which gets every record.
   */
  flavor?: 'spsc' | 'mpsc' | 'broadcast' | undefined;
  /**
   * `'broadcast'`: what a consumer that does not keep up means. `'wait'`: the producer waits (default);
   * `'drop-oldest'`: the consumer misses records, which `dropped` counts; `'disconnect'`: the consumer's reads
   * reject with `ERR_RSIPC_SLOW_CONSUMER`.
   */
  slowConsumer?: 'wait' | 'drop-oldest' | 'disconnect' | undefined;
}

/** A queue of records in shared memory. */
export class Ring implements SharedObject {
  private constructor();
  /** Makes one. A name that is taken throws `ERR_RSIPC_NAME_TAKEN`. */
  static create(options: RingOptions): Ring;
  /** Opens one by name. Throws `ERR_RSIPC_NOT_FOUND`. */
  static open(name: string): Ring;
  /** Opens it, or makes it: of several that race, one makes it. */
  static openOrCreate(options: RingOptions & { name: string }): Ring;
  readonly flavor: 'spsc' | 'mpsc' | 'broadcast';
  /** Bytes for records. */
  readonly capacity: number;
  /** The longest record in bytes. */
  readonly maxRecord: number;
  /**
   * Becomes a producer. Throws `ERR_RSIPC_ROLE_TAKEN` when the flavor has but one, and it lives. An end is
   * given back by its `close`, by that of the ring, and with its process or worker thread.
   */
  producer(): RingProducer;
  /** Becomes a consumer. Throws `ERR_RSIPC_ROLE_TAKEN` when the flavor has but one, and it lives. */
  consumer(): RingConsumer;
  readonly name: string | undefined;
  readonly kind: 'ring';
  readonly size: number;
  readonly closed: boolean;
  close(): void;
  unlink(): void;
  ref(): this;
  unref(): this;
  [Symbol.dispose](): void;
}

export interface RingProducer {
  /**
   * Writes one record if there is room. Throws `ERR_RSIPC_RECORD_TOO_LARGE` when there never is. While a `write`
   * waits there is none: nothing overtakes it.
   */
  tryWrite(data: SharedData): boolean;
  /** Writes as many as there is room for, made visible at once; returns how many. */
  tryWriteBatch(records: readonly SharedData[]): number;
  /** Writes one record, waiting for room. */
  write(data: SharedData, options?: SpinOptions): Promise<void>;
  /** The same, blocking the thread. */
  writeSync(data: SharedData, options?: SyncWaitOptions): void;
  /**
   * Room for a record of `bytes` to be filled, or `undefined` when there is none now. Until it is committed or
   * abandoned, everything else that writes throws `ERR_RSIPC_BUSY`.
   */
  reserve(bytes: number): RingSlot | undefined;
  /** Gives the role back. */
  close(): void;
  [Symbol.dispose](): void;
}

/** Room in the ring. Nobody sees it before `commit`. */
export interface RingSlot {
  /**
   * Where to write: memory of the ring itself, or in an `'mpsc'` ring memory that `commit` copies, so that a
   * producer that takes its time holds up no other. Empty after `commit` or `abandon`.
   */
  readonly view: Buffer;
  /**
   * Makes the record visible; with `bytes`, only so many of it. Of an `'mpsc'` ring it throws `ERR_RSIPC_FULL`
   * when other producers have taken the room; it may be called again.
   */
  commit(bytes?: number): void;
  /** Gives the room back. */
  abandon(): void;
}

export interface RingConsumer extends AsyncIterable<Buffer> {
  /** The next record, or `undefined` when there is none. A copy. */
  tryRead(): Buffer | undefined;
  /** Up to `max` records that are there now, as views into one copy. Default: 1 024. */
  readBatch(max?: number): Buffer[];
  /** The next record, waiting for it. */
  read(options?: SpinOptions): Promise<Buffer>;
  /** The same, blocking the thread. */
  readSync(options?: SyncWaitOptions): Buffer;
  /**
   * Calls `use` with up to `max` records, one after the other, where they lie, without a copy; returns how many.
   * When `use` returns, or throws, the record's room is given back and its view is empty. Worth it from some
   * KiB a record on; for small ones `readBatch` is faster. Default of `max`: 1 024.
   *
   * Where the ring may write over records at any time (`slowConsumer` other than `'wait'`), and where the runtime
   * has no buffers over foreign memory, the view is a copy.
   */
  consume(use: (view: Buffer) => void, max?: number): number;
  /** Records this consumer has missed. */
  readonly dropped: number;
  /** Gives the role back. */
  close(): void;
  /** Every record from now on. Ends when this end is closed. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Buffer>;
  [Symbol.dispose](): void;
}

/** Bytes that several processes see. */
export class SharedMemory implements SharedObject {
  private constructor();
  /** `size`: bytes, 1 to the most a `Buffer` can have. */
  static create(options: SharedOptions & { size: number }): SharedMemory;
  static open(name: string): SharedMemory;
  static openOrCreate(options: SharedOptions & { name: string; size: number }): SharedMemory;
  /**
   * The bytes: no copy. `Atomics` work on typed arrays over `buffer.buffer`, except `Atomics.wait`. Empty once
   * closed. Throws `ERR_RSIPC_NO_VIEWS` where the runtime has no buffers over foreign memory, as in Electron.
   */
  readonly buffer: Buffer;
  readonly name: string | undefined;
  readonly kind: 'memory';
  readonly size: number;
  readonly closed: boolean;
  close(): void;
  unlink(): void;
  ref(): this;
  unref(): this;
  [Symbol.dispose](): void;
}

/** The latest value of something: readers never see half of one. */
export class Cell implements SharedObject {
  private constructor();
  /** `capacity`: bytes of the longest value, 1 to 1 073 741 824. Four times as many are reserved. */
  static create(options: SharedOptions & { capacity: number }): Cell;
  static open(name: string): Cell;
  static openOrCreate(options: SharedOptions & { name: string; capacity: number }): Cell;
  /** Bytes of the longest value. */
  readonly capacity: number;
  /** Replaces the value. Several may set: one after the other. Throws `ERR_RSIPC_RECORD_TOO_LARGE`. */
  set(data: SharedData): void;
  /** A copy of the value; `undefined` before the first `set`. */
  get(): Buffer | undefined;
  /** How often it was set. */
  readonly version: number;
  /** Resolves with the next value that is newer than version `after` (default: than now). */
  next(options?: SpinOptions & { after?: number | undefined }): Promise<Buffer>;
  readonly name: string | undefined;
  readonly kind: 'cell';
  readonly size: number;
  readonly closed: boolean;
  close(): void;
  unlink(): void;
  ref(): this;
  unref(): this;
  [Symbol.dispose](): void;
}

export interface SharedMapOptions extends SharedOptions {
  /**
   * Bytes for entries, 65 536 to 68 719 476 736. An entry takes the bytes of its key and its value and 40, rounded up to 64.
   * They lie in up to 64 shards, and a shard is full when it is full.
   */
  capacity: number;
  /** Entries it is made for, 1 to 1 073 741 824: more only make it slower. Default: `capacity / 256`. */
  entries?: number | undefined;
}

/** A map of strings or bytes to bytes that several processes share. Values are copied in and out. */
export class SharedMap implements SharedObject {
  private constructor();
  static create(options: SharedMapOptions): SharedMap;
  static open(name: string): SharedMap;
  static openOrCreate(options: SharedMapOptions & { name: string }): SharedMap;
  /** A copy of the value, or `undefined`. */
  get(key: SharedData): Buffer | undefined;
  /** The value with the version that `compareAndSet` takes. */
  getEntry(key: SharedData): { value: Buffer; version: number } | undefined;
  has(key: SharedData): boolean;
  /** Sets the value; with `ttl`, for so many milliseconds. Throws `ERR_RSIPC_MAP_FULL` when there is no room. */
  set(key: SharedData, value: SharedData, options?: { ttl?: number | undefined }): this;
  /** Sets it only where the version is still the one that was read, 0 for "not there". Returns whether it did. */
  compareAndSet(key: SharedData, version: number, value: SharedData, options?: { ttl?: number | undefined }): boolean;
  delete(key: SharedData): boolean;
  /**
   * Adds to a counter (64-bit integer, 0 when not there) and returns its new value. `ttl` counts from when it is made. Throws
   * `ERR_RSIPC_NOT_A_COUNTER` for a key that was `set`, `ERR_OUT_OF_RANGE` for a sum of more than 64 bits.
   */
  add(key: SharedData, delta?: number | bigint, options?: { ttl?: number | undefined }): bigint;
  /** A counter's value; 0 when not there. Throws `ERR_RSIPC_NOT_A_COUNTER`. */
  count(key: SharedData): bigint;
  clear(): void;
  /** Gives up the entries that have expired, which otherwise stay until their room or their key is needed; returns how many. */
  purge(): number;
  /** Entries, those that have expired and are still there among them; a moment's figure. */
  readonly length: number;
  /** Every entry that is there from the beginning to the end is given once, as Buffers; one that comes or goes meanwhile, at most once. */
  entries(): IterableIterator<[Buffer, Buffer]>;
  [Symbol.iterator](): IterableIterator<[Buffer, Buffer]>;
  readonly name: string | undefined;
  readonly kind: 'map';
  readonly size: number;
  readonly closed: boolean;
  close(): void;
  unlink(): void;
  ref(): this;
  unref(): this;
  [Symbol.dispose](): void;
}

/** What is held of a lock. One that is collected without `release` is released with a process warning. */
export interface Held {
  /**
   * The last one who could change what the lock protects died with it, or its thread was terminated: that may be half done.
   * Always `false` for permits.
   */
  readonly recovered: boolean;
  /**
   * Grows with every acquisition: give it to what you write to, which can refuse an older one. `0n` for readers and permits.
   */
  readonly fence: bigint;
  /** Whether it is still held. */
  readonly held: boolean;
  /** Safe to call twice. */
  release(): void;
  [Symbol.dispose](): void;
}

export class Mutex implements SharedObject {
  private constructor();
  static create(options?: SharedOptions): Mutex;
  static open(name: string): Mutex;
  static openOrCreate(options: SharedOptions & { name: string }): Mutex;
  tryLock(): Held | undefined;
  lock(options?: WaitOptions): Promise<Held>;
  /** Blocks the thread. A lock that this thread itself holds, through whichever attachment, throws `ERR_RSIPC_DEADLOCK`. */
  lockSync(options?: SyncWaitOptions): Held;
  /** Runs `use` with the lock held. */
  with<T>(use: (held: Held) => T | Promise<T>, options?: WaitOptions): Promise<T>;
  /** Whether a living process has it; a moment's answer. */
  readonly locked: boolean;
  readonly name: string | undefined;
  readonly kind: 'mutex';
  readonly size: number;
  readonly closed: boolean;
  close(): void;
  unlink(): void;
  ref(): this;
  unref(): this;
  [Symbol.dispose](): void;
}

/**
 * Many readers or one writer. Who waits is served in the order of coming, so writers and readers do not keep each other out;
 * the waits of one attachment are in one row.
 */
export class RwLock implements SharedObject {
  private constructor();
  static create(options?: SharedOptions): RwLock;
  static open(name: string): RwLock;
  static openOrCreate(options: SharedOptions & { name: string }): RwLock;
  tryRead(): Held | undefined;
  tryWrite(): Held | undefined;
  read(options?: WaitOptions): Promise<Held>;
  write(options?: WaitOptions): Promise<Held>;
  /** Blocks the thread. Throws `ERR_RSIPC_DEADLOCK` when this thread writes. */
  readSync(options?: SyncWaitOptions): Held;
  /** Blocks the thread. Throws `ERR_RSIPC_DEADLOCK` when this attachment reads, or this thread writes. */
  writeSync(options?: SyncWaitOptions): Held;
  readonly name: string | undefined;
  readonly kind: 'rwlock';
  readonly size: number;
  readonly closed: boolean;
  close(): void;
  unlink(): void;
  ref(): this;
  unref(): this;
  [Symbol.dispose](): void;
}

/** So many permits. Those of a process that died come back. */
export class Semaphore implements SharedObject {
  private constructor();
  /** `permits`: 1 to 2 147 483 647. */
  static create(options: SharedOptions & { permits: number }): Semaphore;
  static open(name: string): Semaphore;
  static openOrCreate(options: SharedOptions & { name: string; permits: number }): Semaphore;
  readonly permits: number;
  /** Permits nobody has; a moment's figure. Those of the dead come back when somebody needs them. */
  readonly available: number;
  tryAcquire(count?: number): Held | undefined;
  acquire(options?: WaitOptions & { count?: number | undefined }): Promise<Held>;
  /** Blocks the thread. Throws `ERR_RSIPC_DEADLOCK` when this attachment has so many that the rest is never enough. */
  acquireSync(options?: SyncWaitOptions & { count?: number | undefined }): Held;
  readonly name: string | undefined;
  readonly kind: 'semaphore';
  readonly size: number;
  readonly closed: boolean;
  close(): void;
  unlink(): void;
  ref(): this;
  unref(): this;
  [Symbol.dispose](): void;
}

/** Something that has happened, or not yet. Not the web's `Event`. */
export class Event implements SharedObject {
  private constructor();
  /** `autoReset`: one waiter is let through and it is unset again. Default: `false`. */
  static create(options?: SharedOptions & { autoReset?: boolean | undefined }): Event;
  static open(name: string): Event;
  static openOrCreate(options: SharedOptions & { name: string; autoReset?: boolean | undefined }): Event;
  readonly autoReset: boolean;
  /** Lets who waits pass: all, or with `autoReset` one. */
  set(): void;
  reset(): void;
  readonly isSet: boolean;
  /** Resolves when it is set, or was since the wait began. */
  wait(options?: WaitOptions): Promise<void>;
  waitSync(options?: SyncWaitOptions): void;
  readonly name: string | undefined;
  readonly kind: 'event';
  readonly size: number;
  readonly closed: boolean;
  close(): void;
  unlink(): void;
  ref(): this;
  unref(): this;
  [Symbol.dispose](): void;
}

/** So many parties wait for one another, again and again. Each attachment is one party: its second wait is for the next round. */
export class Barrier implements SharedObject {
  private constructor();
  /** `parties`: 2 to 128. */
  static create(options: SharedOptions & { parties: number }): Barrier;
  static open(name: string): Barrier;
  static openOrCreate(options: SharedOptions & { name: string; parties: number }): Barrier;
  readonly parties: number;
  /**
   * Resolves when all have come; `true` for one of them. Rejects with `ERR_RSIPC_BARRIER_BROKEN` when a process
   * that is attached died. Who gives up, or closes, has not come, and the others wait on.
   */
  wait(options?: WaitOptions): Promise<boolean>;
  waitSync(options?: SyncWaitOptions): boolean;
  /** Whether somebody's death has broken it. */
  readonly broken: boolean;
  /** Makes a broken barrier whole. */
  reset(): void;
  readonly name: string | undefined;
  readonly kind: 'barrier';
  readonly size: number;
  readonly closed: boolean;
  close(): void;
  unlink(): void;
  ref(): this;
  unref(): this;
  [Symbol.dispose](): void;
}

// ---- error codes: docs/errors.md says when each comes and what to do ----

/** What {@link peek} looks for, and how long. */
export interface PeekOptions<Kind extends 'http' | 'tls' | 'proxy' = 'http'> {
  /** The head of an HTTP/1 request, a TLS ClientHello, or the PROXY protocol alone. Default: 'http'. */
  for?: Kind;
  /** The PROXY protocol (1 or 2) has to stand in front of it. Anybody can write it: only where nobody but the load balancer connects. Default: `false`. */
  proxy?: boolean;
  /** The most bytes it may have, else `ERR_RSIPC_MESSAGE_TOO_LARGE`. 1 to 1 048 576. Default: 16 384, as Node's own limit for a head. */
  limit?: number;
  /** Milliseconds to wait for all of it, then `ERR_RSIPC_TIMEOUT`. `Infinity` to wait for ever. Default: 5 000. */
  timeout?: number;
  /** Ends the wait with an `AbortError`. */
  signal?: AbortSignal;
}

/** An address that the PROXY protocol tells. */
export interface PeekedAddress {
  address: string;
  family: 'IPv4' | 'IPv6';
  port: number;
}

/** What the PROXY protocol says. Without addresses the load balancer connects for itself, or does not tell. */
export interface PeekedProxy {
  version: 1 | 2;
  source?: PeekedAddress;
  destination?: PeekedAddress;
}

/** The head of a request. It is the client's word, as strictly read as Node's own parser reads it. */
export interface PeekedHttp {
  kind: 'http';
  method: string;
  /** As it stands there: path and query. */
  path: string;
  httpVersion: '1.0' | '1.1';
  /** By names in small letters; repeated ones are joined as Node's http does. Inherits nothing. */
  headers: Record<string, string | undefined>;
  proxy?: PeekedProxy;
}

/** A ClientHello. It is the client's word; nothing was decrypted. */
export interface PeekedTls {
  kind: 'tls';
  /** The host the client wants, in small letters. */
  sni?: string;
  /** The protocols it offers, the best first. */
  alpn: string[];
  proxy?: PeekedProxy;
}

/** The PROXY protocol. */
export interface PeekedFront {
  kind: 'proxy';
  proxy: PeekedProxy;
}

/**
 * Tells what a connection begins with, and leaves all of it in the socket's receive buffer: `child.send('conn', socket)`
 * gives the socket away as if nobody had touched it. The socket must not be read yet: its server is made with
 * `{ pauseOnConnect: true }`.
 *
 * Rejects with `ERR_RSIPC_UNEXPECTED_BYTES` when it is something else, `ERR_RSIPC_MESSAGE_TOO_LARGE`, `ERR_RSIPC_TIMEOUT`,
 * `ERR_RSIPC_TRUNCATED` when the client ends too early, `ERR_RSIPC_CLOSED` when the socket is closed here,
 * `ERR_RSIPC_ALREADY_READ`, and `ERR_RSIPC_SYSTEM` when there is no descriptor left. The socket stays open: what becomes of it is the caller's.
 */
export function peek(socket: Socket, options?: PeekOptions<'http'>): Promise<PeekedHttp>;
export function peek(socket: Socket, options: PeekOptions<'tls'>): Promise<PeekedTls>;
export function peek(socket: Socket, options: PeekOptions<'proxy'>): Promise<PeekedFront>;

/** Codes of `'protocolError'`. */
export type ProtocolErrorCode =
  | 'ERR_RSIPC_CLUSTER_PROTOCOL'
  | 'ERR_RSIPC_DAMAGED'
  | 'ERR_RSIPC_FRAME_TIMEOUT'
  | 'ERR_RSIPC_HANDLE_KIND'
  | 'ERR_RSIPC_MALFORMED_FRAME'
  | 'ERR_RSIPC_MESSAGE_TOO_LARGE'
  | 'ERR_RSIPC_TOO_DEEP'
  | 'ERR_RSIPC_TRUNCATED'
  | 'ERR_RSIPC_UNEXPECTED_ACK'
  | 'ERR_RSIPC_UNEXPECTED_REPLY'
  | 'ERR_RSIPC_UNKNOWN_HANDLE_TYPE';

// ---- Message servers and clients ----

/** How messages become bytes. `'json'`, `'v8'` and `'raw'` (Buffers) are spoken between rsipc ends; `'lines'` (newline JSON) and `'lsp'` (`Content-Length`) by any program. */
export type Codec = 'json' | 'v8' | 'raw' | 'lines' | 'lsp';

/** Who may be at the other end of a UNIX socket, as the kernel says. */
export type Allow = 'same' | 'anyone' | { uid?: 'same' | number | readonly number[]; gid?: number | readonly number[] };

/** What `serve` and `connect` have in common. They govern the caller's end. */
export interface ConnectionOptions {
  /** Default: `'json'`. Both ends have the same. */
  codec?: Codec;
  /** JSON-RPC 2.0 requests, with codec `'lsp'` (the default there) or `'lines'`. */
  jsonRpc?: boolean;
  /** Bytes of one received message: `ERR_RSIPC_MESSAGE_TOO_LARGE`. 1 to 4 294 967 295. Default: 67 108 864 (64 MiB). */
  maxMessageSize?: number;
  /** Levels of nesting of a received message: `ERR_RSIPC_TOO_DEEP`. 1 to 100 000. Default: 512. */
  maxDepth?: number;
  /**
   * What becomes of received JSON with a key `__proto__`, which `Object.assign` or a loop would make the prototype of a copy;
   * codec `v8` is not looked into. `'error'`: the connection ends with `ERR_RSIPC_PROTO_KEY`. `'remove'`: the key goes. `'keep'`: it is an own key.
   * Default: `'error'`.
   */
  protoAction?: 'error' | 'remove' | 'keep';
  /** Milliseconds a message may stay incomplete: `ERR_RSIPC_FRAME_TIMEOUT`. 1 or more. Default: 30 000. */
  frameTimeout?: number;
  /** Milliseconds until the other end has said hello: `ERR_RSIPC_HELLO_TIMEOUT`. 1 or more. Default: 5000. */
  helloTimeout?: number;
  /** Bytes that wait for a peer, above which `slowPeer` counts. 1 or more. Default: 131 072 (128 KiB). */
  highWaterMark?: number;
  /**
   * What happens above the mark. `'wait'`: `send` resolves when there is room. `'error'`: it rejects with
   * `ERR_RSIPC_OUTBOX_FULL`. `'drop-oldest'`: the newest messages are kept, `connection.dropped` counts the others.
   * `'close'`: the connection ends. Default: `'wait'`.
   */
  slowPeer?: 'wait' | 'error' | 'drop-oldest' | 'close';
  /** Bytes that wait for a peer at most, whoever waits: then `ERR_RSIPC_OUTBOX_FULL`. Default: 134 217 728 (128 MiB). */
  maxOutbox?: number;
  /** Bytes of messages that nobody listens for yet; newer ones are dropped. 0 or more. Default: 1 048 576 (1 MiB). */
  maxEarlyBytes?: number;
  /**
   * What large Buffers arrive as that lie in memory shared with the peer, with codec `'raw'` and, within messages,
   * `'v8'`: a copy, or a view of that memory, until it is collected or given to `release`. Default: `'copy'`.
   */
  payload?: 'copy' | 'view';
  /**
   * Bytes of large messages lent to the peer at once, over a UNIX socket between processes of one user. 0 for no shared
   * memory, either way. 0 to 536 870 912. Default: 134 217 728 (128 MiB).
   */
  maxSharedBytes?: number;
  /**
   * Microseconds to look on before the event loop sleeps, over sockets. A round trip then costs no wake-up, but a processor
   * is busy for as long. It is done while messages come at short intervals and nothing else waits for the loop, and ever
   * more rarely where it is in vain. 0 to 10 000; 0 for never. Default: 100, and 0 where there is one processor.
   */
  spin?: number;
  /** Requests that wait on a connection, each way. Default: 65 536. */
  maxRequests?: number;
  /** Milliseconds of silence until a ping; after twice as many the connection is over. 0 for never. Default: 0. */
  heartbeat?: number;
  /** Milliseconds that `close()` waits for answers and for the peer. Default: 2000. */
  closeTimeout?: number;
  /** Kinds of handles that are taken; others are closed before anyone sees them. Default: all. */
  acceptHandles?: readonly HandleKind[];
  /** Who may be at the other end of a UNIX socket. Default: `'same'`, processes of this user. */
  allow?: Allow;
  /** For `tls://`: what `tls.createServer` or `tls.connect` takes. With `requestCert`, clients need a certificate too. */
  tls?: TlsOptions | TlsConnectionOptions;
  /** For `udp://`. */
  udp?: UdpOptions;
}

export interface UdpOptions {
  /** The datagrams are the messages alone: for programs that are no rsipc. Nothing is counted then but what came. Default: `false`. */
  plain?: boolean;
  /** The address of the network interface for a group. Default: the system's choice. */
  interface?: string;
  /** Hops, 1 to 255. Default: the system's, 64; for a group 1. */
  ttl?: number;
  /** Whether what is sent to a group is also heard on this host. Default: `true`. */
  loopback?: boolean;
  /** May send to all of a network. Default: `false`. */
  broadcast?: boolean;
  /** Several servers of a host at one port. Default: `true` for a group, else `false`. */
  reuseAddr?: boolean;
}

/** What became of datagrams. */
export interface DatagramCounters {
  /** Taken by the system. */
  readonly sent: number;
  /** Refused by the system, or nobody listened. */
  readonly failed: number;
  /** Told as messages. */
  readonly received: number;
  /** Numbers that have not come. One that comes late is no longer among them. */
  readonly lost: number;
  /** Came late, and were told. */
  readonly reordered: number;
  /** Came before, or too late to know; not told. */
  readonly duplicates: number;
  /** Shorter than their head says, or longer than `maxMessageSize`; not told. */
  readonly truncated: number;
  /** Not from rsipc, of another codec, or unreadable; not told. */
  readonly foreign: number;
  /** Of a sender beyond `maxConnections` or one that is not allowed, or of a connection that was paused; not told. */
  readonly refused: number;
}

export interface ServeOptions extends ConnectionOptions {
  /**
   * Of `tcp://` behind a load balancer: whose word on the real address of a client is taken, as addresses and networks
   * (`'10.0.0.0/8'`). They have to begin with the PROXY protocol, version 1 or 2, within `helloTimeout`; who is not among
   * them must not. `connection.peer` has the address, and in `via` that of the load balancer.
   */
  proxy?: { from: readonly string[] };
  /** The next one is refused with `ERR_RSIPC_REFUSED`. Default: 1024. */
  maxConnections?: number;
  /** How many may wait to be accepted. Default: 511. */
  backlog?: number;
  /** Permission bits of a UNIX socket's file. Default: `0o600`. */
  mode?: number;
  /** Owner of that file. Default: this process's. */
  uid?: number;
  /** Group of that file. Default: this process's. */
  gid?: number;
  /** Milliseconds of silence after which a sender's connection ends, where senders say no farewell: `file:`, `udp://`, `unix+dgram:`. 1 or more. Default: 60 000. */
  idleTimeout?: number;
}

export interface ReconnectOptions {
  /** Milliseconds before the first attempt. Default: 50. */
  min?: number;
  /** Milliseconds between attempts at most. Default: 10 000. */
  max?: number;
  /** How much longer each wait is. 1 or more. Default: 2. */
  factor?: number;
  /** How much of each wait is left to chance, 0 to 1. Default: 0.5. */
  jitter?: number;
  /** Attempts in a row. Default: `Infinity`. */
  retries?: number;
}

export interface ConnectOptions extends ConnectionOptions {
  /**
   * Connects again when the connection is lost, and waits for a server that is not there yet. What is sent meanwhile is
   * kept, up to `maxOutbox`; requests without an answer are sent again, and their handlers see `resent`. Messages that
   * the kernel had taken when the server went may be lost. Default: `false`.
   */
  reconnect?: boolean | ReconnectOptions;
  /** Milliseconds until the server has greeted for the first time: `ERR_RSIPC_TIMEOUT`. Default: 10 000. */
  timeout?: number;
  /** Ends the attempt. */
  signal?: AbortSignal;
  /** Of a `file:` directory: with so many files in it a writer waits, and what it is given stays in its outbox. 1 or more. Default: 10 000. */
  maxFiles?: number;
}

/** What a handler is told besides the body. */
export interface RequestInfo {
  readonly connection: Connection;
  readonly name: string;
  /** Names the request; the same when it is sent again on another connection. */
  readonly id: string;
  /** It was sent before, on a connection that was lost: it may have been acted on. */
  readonly resent: boolean;
  /** Aborted when the other end gives the request up or goes. */
  readonly signal: AbortSignal;
}

export type Handler = (body: any, info: RequestInfo) => unknown;

/** Who is at the other end. Of a UNIX socket the kernel tells, of TLS the certificate. */
export interface ConnectionPeer {
  readonly pid?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly authorized?: boolean;
  readonly subject?: Record<string, string>;
  readonly fingerprint256?: string;
  /** Of `file:`: the writer, a number of 16 hexadecimal digits that it has drawn. */
  readonly sender?: string;
  /** Of `udp://` and `unix+dgram:`; at a server of `tcp://`, the address of the client. */
  readonly address?: string;
  readonly port?: number;
  readonly family?: 'IPv4' | 'IPv6';
  /** With `proxy`: the load balancer that has said so. */
  readonly via?: { readonly address: string; readonly family: 'IPv4' | 'IPv6'; readonly port: number };
}

/**
 * One end of a connection.
 *
 * Events: `'message'` (message, handle or list of handles), `'close'` (the reason, if it did not end in order), `'drain'`,
 * `'error'` (the same reason, only if somebody listens); of a client that connects again `'disconnect'` (reason),
 * `'reconnecting'` (reason, attempt, milliseconds), `'reconnect'`.
 */
export interface Connection extends EventEmitter, AsyncIterable<any> {
  readonly endpoint: string;
  readonly codec: Codec;
  /** Messages can be sent. */
  readonly connected: boolean;
  /** It has lost its server and looks for it. */
  readonly connecting: boolean;
  readonly closed: boolean;
  /** Why it has ended, if not in order. */
  readonly error: Error | null;
  readonly peer: ConnectionPeer | null;
  /** Bytes that the kernel has not taken. */
  readonly queued: number;
  /** Messages given up because the peer did not read. */
  readonly dropped: number;
  /** Messages given up because nobody listened. */
  readonly unheard: number;
  /** Of `udp://` and `unix+dgram:`; null elsewhere. */
  readonly datagrams: DatagramCounters | null;
  /**
   * Sends a message. The promise resolves when there is room for more, and need not be awaited: it never counts as an
   * unhandled rejection. What has no form in the codec throws.
   */
  send(message: any, callback?: (error: Error | null) => void): Promise<void>;
  /**
   * The same with handles, over a UNIX socket. Resolves when a listener of the other end has taken them; rejects with
   * `ERR_RSIPC_HANDLE_REJECTED` or `ERR_RSIPC_PEER_GONE`. Sockets and `Fd`s belong to the other end from the call on.
   */
  send(message: any, handles: Handle | readonly Handle[], callback?: (error: Error | null) => void): Promise<void>;
  /** Asks the handler of this name at the other end. Its errors arrive as the errors they were. */
  request(name: string, body?: any, options?: WaitOptions): Promise<any>;
  /** With `jsonRpc`: calls a method that nobody answers. */
  notify(method: string, params?: any): Promise<void>;
  /** Answers requests of this name; null stops that. A server's connections also have the server's handlers. */
  handle(name: string, handler: Handler | null): this;
  /** Resolves when there is room. */
  ready(options?: WaitOptions): Promise<void>;
  /** Stops reading; the kernel pushes back on the other end. */
  pause(): this;
  resume(): this;
  ref(): this;
  unref(): this;
  /**
   * Ends in order: running handlers answer, what was accepted is written, the other end has read it. Rejects with
   * `ERR_RSIPC_UNSENT`, and `unsent` bytes, when that takes longer than `timeout` (default: `closeTimeout`) or the other
   * end goes before.
   */
  close(options?: { timeout?: number }): Promise<void>;
  /** Ends at once. */
  destroy(error?: Error): this;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * A server. Events: `'connection'` (connection), `'clientError'` (error, connection or null): a client that broke the
 * rules, or could not be accepted; `'close'`.
 */
export interface Server extends EventEmitter {
  readonly endpoint: string;
  readonly listening: boolean;
  readonly connections: ReadonlySet<Connection>;
  /** Where it listens, with the port that the system has chosen; null when it listens no more. */
  address(): string | null;
  /** Of `udp://`, those that belong to no connection; null elsewhere. */
  readonly datagrams: DatagramCounters | null;
  /** Answers requests of this name of any client; null stops that. */
  handle(name: string, handler: Handler | null): this;
  /** Sends to all, encoded once. Answers how many they are. */
  broadcast(message: any): number;
  ref(): this;
  unref(): this;
  /** Accepts nobody any more, and closes every connection in order. What one of them was not given is told by `'clientError'`. */
  close(options?: { timeout?: number }): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Listens at `rsipc:name`, `unix:/path`, `unix:@abstract`, `unix+seqpacket:/path`, `unix+dgram:/path`, `tcp://host:port`, `tls://host:port`, `udp://host:port`, `file:/dir/`, `fifo:/path` or `systemd:`. */
export function serve(endpoint: string, options?: ServeOptions): Promise<Server>;

/**
 * Tells the service manager how this process is, as `sd_notify(3)` does: `READY=1`, `STATUS=…`, `WATCHDOG=1`, one a line.
 * False if nobody asked to be told.
 */
export function notify(state: string): boolean;

/** Connects to such an endpoint, to `stdio:`, to a child's stdio, or over any stream. Resolves when the other end has greeted. */
export function connect(endpoint: string | ChildProcess | Duplex, options?: ConnectOptions): Promise<Connection>;

/** Options of `httpOver`. */
export interface HttpOverOptions extends Pick<ServeOptions, 'backlog' | 'mode' | 'uid' | 'gid'> {
  /** Of the agent. Default: `{ keepAlive: true }`. */
  agent?: AgentOptions;
  /** Whose server a client takes at a UNIX socket. Default: this user's. */
  allow?: ServeOptions['allow'];
}

/** HTTP over an endpoint. */
export interface HttpOver {
  readonly endpoint: string;
  /** For `http.request` and what is built on it. */
  readonly agent: Agent;
  /** For `fetch(url, { dispatcher })`, and for undici. */
  readonly dispatcher: any;
  /** Has a server listen here. Answers where; the socket's file goes when the server closes. */
  listen(server: NetServer): Promise<string>;
  /** Closes the connections that are kept for the next request. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** What HTTP needs to run over `rsipc:name`, `unix:/path` or `tcp://host:port`. */
export function httpOver(endpoint: string, options?: HttpOverOptions): HttpOver;

/** Options of `openBus`. */
export interface BusOptions {
  /** Who may be a member, by the kernel's word. Default: processes of this user. */
  allow?: ServeOptions['allow'];
  /** Mode of the socket's file, if this member makes it. Default: 0o600. */
  mode?: number | undefined;
  /** Members at once, if the broker is here. Default: 1024. */
  maxConnections?: number | undefined;
  /** Topics whose last value is retained; the longest unchanged is given up first. Default: 1024, and 16 MiB. */
  maxRetained?: number | undefined;
  /** Milliseconds that `close` waits for the broker to have what was published. Default: 2000. */
  closeTimeout?: number | undefined;
}

export interface SubscribeOptions {
  /** Begin with the last values of its topics that were published with `retain`. Default: false. */
  retained?: boolean | undefined;
  /** What happens when `max` messages wait: the oldest is dropped, or the subscription is ended. Default: `'drop-oldest'`. */
  policy?: 'drop-oldest' | 'disconnect' | undefined;
  /** Messages that may wait for this subscription at the broker, besides 16 MiB. Default: 1024. */
  max?: number | undefined;
}

export interface PublishOptions {
  /** Keep it as the last value of its topic; `undefined` as the message takes that back. Default: false. */
  retain?: boolean | undefined;
}

export interface Subscription {
  readonly pattern: string;
  /** Messages that it was too slow for. */
  readonly dropped: number;
  /** False when it was unsubscribed, or ended by its policy. */
  readonly active: boolean;
  unsubscribe(): number;
}

/**
 * A member of a bus. Events: `'disconnect'` (reason or null) and `'reconnect'`: the broker is gone, there is another;
 * `'drop'` (subscription, count); `'slow'` (error, subscription): it was ended by policy `'disconnect'`; `'messageError'`
 * (error, topic, subscription): a message cannot be read; `'close'`.
 */
export interface Bus extends EventEmitter {
  readonly endpoint: string;
  /** Whether this member's process serves the others. */
  readonly isBroker: boolean;
  readonly connected: boolean;
  /** What structured clone has, to all subscriptions of the topic. Resolves when the broker has it; need not be awaited. */
  publish(topic: string, message?: any, options?: PublishOptions): Promise<void>;
  /**
   * In a pattern, `*` is any one level, and `**` as the last one any that follow. Resolves when whatever is published from
   * now on arrives.
   */
  subscribe(pattern: string, listener: (message: any, topic: string) => void, options?: SubscribeOptions): Promise<Subscription>;
  /** Ends the subscriptions with this pattern, or those of them with this listener. Answers how many there were. */
  unsubscribe(pattern: string, listener?: (message: any, topic: string) => void): number;
  ref(): this;
  unref(): this;
  /** Ends when the broker has what was published, after `closeTimeout` at the latest. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Joins the bus at `rsipc:name` or `unix:…`, which begins with whoever comes first. */
export function openBus(endpoint: string, options?: BusOptions): Promise<Bus>;

/** The web's BroadcastChannel, between all processes of this user. Events: `'message'`, `'messageerror'`. */
export class BroadcastChannel extends EventTarget {
  constructor(name: string);
  readonly name: string;
  onmessage: ((this: BroadcastChannel, event: MessageEvent) => any) | null;
  onmessageerror: ((this: BroadcastChannel, event: MessageEvent) => any) | null;
  /** To every other channel of this name, whatever process it is in. */
  postMessage(message: any): void;
  close(): void;
  ref(): this;
  unref(): this;
}

/** Codes of errors of servers, clients and connections. */
export type ConnectionErrorCode =
  | 'ERR_RSIPC_CODEC'
  | 'ERR_RSIPC_HELLO_TIMEOUT'
  | 'ERR_RSIPC_NOT_RSIPC'
  | 'ERR_RSIPC_NO_HANDLES'
  | 'ERR_RSIPC_NO_REQUESTS'
  | 'ERR_RSIPC_ONE_WAY'
  | 'ERR_RSIPC_OUTBOX_FULL'
  | 'ERR_RSIPC_UNSENT'
  | 'ERR_RSIPC_PROTO_KEY'
  | 'ERR_RSIPC_REFUSED';

/** Codes of errors about shared memory. */
export type SharedMemoryErrorCode =
  | 'ERR_RSIPC_BARRIER_BROKEN'
  | 'ERR_RSIPC_BUSY'
  | 'ERR_RSIPC_CLOSED'
  | 'ERR_RSIPC_DAMAGED'
  | 'ERR_RSIPC_DEADLOCK'
  | 'ERR_RSIPC_DESTROYED'
  | 'ERR_RSIPC_FULL'
  | 'ERR_RSIPC_INCOMPATIBLE'
  | 'ERR_RSIPC_INVALID_NAME'
  | 'ERR_RSIPC_MAP_FULL'
  | 'ERR_RSIPC_NAME_TAKEN'
  | 'ERR_RSIPC_NOT_A_COUNTER'
  | 'ERR_RSIPC_NOT_FOUND'
  | 'ERR_RSIPC_NOT_HELD'
  | 'ERR_RSIPC_NO_SPACE'
  | 'ERR_RSIPC_NO_VIEWS'
  | 'ERR_RSIPC_OTHER_WORLD'
  | 'ERR_RSIPC_RECORD_TOO_LARGE'
  | 'ERR_RSIPC_ROLE_TAKEN'
  | 'ERR_RSIPC_SLOW_CONSUMER'
  | 'ERR_RSIPC_SYSTEM'
  | 'ERR_RSIPC_TOO_MANY_PARTIES'
  | 'ERR_RSIPC_UNSUPPORTED'
  | 'ERR_RSIPC_UNTRUSTED'
  | 'ERR_RSIPC_WRONG_KIND';

/** Codes of errors about endpoints. */
export type EndpointErrorCode =
  | 'ERR_RSIPC_ALREADY_READ'
  | 'ERR_RSIPC_INVALID_ENDPOINT'
  | 'ERR_RSIPC_NOT_ACTIVATED'
  | 'ERR_RSIPC_PEER_REFUSED'
  | 'ERR_RSIPC_UNEXPECTED_BYTES'
  | 'ERR_RSIPC_UNSUPPORTED'
  | 'ERR_RSIPC_UNTRUSTED';

/** Codes of errors that are Node's own, with Node's texts. */
export type NodeErrorCode =
  | 'ABORT_ERR'
  | 'ERR_CHILD_CLOSED_BEFORE_REPLY'
  | 'ERR_ILLEGAL_CONSTRUCTOR'
  | 'ERR_INVALID_ARG_TYPE'
  | 'ERR_INVALID_ARG_VALUE'
  | 'ERR_INVALID_HANDLE_TYPE'
  | 'ERR_IPC_CHANNEL_CLOSED'
  | 'ERR_IPC_DISCONNECTED'
  | 'ERR_MISSING_ARGS'
  | 'ERR_OUT_OF_RANGE'
  | 'ERR_SOCKET_BAD_PORT';

/** Every code of ours. */
export type RsipcErrorCode =
  | ProtocolErrorCode
  | ConnectionErrorCode
  | SharedMemoryErrorCode
  | 'ERR_RSIPC_RESERVED_EVENT'
  | 'ERR_RSIPC_TLS_KEY'
  | 'ERR_RSIPC_CHANNEL_END_IN_USE'
  | 'ERR_RSIPC_CRASH_LOOP'
  | 'ERR_RSIPC_FD_CLOSED'
  | 'ERR_RSIPC_HANDLE_REJECTED'
  | 'ERR_RSIPC_NO_RING'
  | 'ERR_RSIPC_NOT_AVAILABLE'
  | 'ERR_RSIPC_NOT_SERIALIZABLE'
  | 'ERR_RSIPC_NO_HANDLER'
  | 'ERR_RSIPC_NO_LISTENER'
  | 'ERR_RSIPC_PEER_GONE'
  | 'ERR_RSIPC_PLAIN_PEER'
  | 'ERR_RSIPC_RELOADING'
  | 'ERR_RSIPC_REMOTE'
  | 'ERR_RSIPC_THREAD_HANDLE'
  | 'ERR_RSIPC_TIMEOUT'
  | 'ERR_RSIPC_TOO_MANY_REQUESTS'
  | 'ERR_RSIPC_WORKER_NOT_READY';

/** Every code an error of this package can have, besides those of failed system calls. */
export type ErrorCode = NodeErrorCode | RsipcErrorCode;
