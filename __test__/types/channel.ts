// What rsipc adds to fork and spawn has types, and wrong uses of it do not compile.

import { dgram } from './dgram.js';
import { alloc, Fd, fork, parent, release, spawn, flushOnSignals, version } from '../../index.js';
import type {
  ChannelOptions, ErrorCode, Handle, HandleKind, IpcChildProcess, Parent, ProtocolErrorCode, Queued, ThreadParent,
} from '../../index.js';

const every: Required<ChannelOptions> = {
  transport: 'auto',
  highWaterMark: { bytes: 1, messages: 1 },
  maxMessageSize: 1,
  maxDepth: 1,
  maxEarlyBytes: 0,
  frameTimeout: Infinity,
  handleTimeout: 1,
  flushDeadline: 0,
  spin: 25,
  payload: 'view',
  maxSharedBytes: 0,
  onProtocolError: 'drop',
  acceptHandles: ['net.Socket', 'fd'],
  dieWithParent: true,
};
const child: IpcChildProcess = fork('./child.js', { ...every, highWaterMark: 65_536, execArgv: [] });

async function sending(): Promise<void> {
  const nothing: void = await child.send({ a: 1 }, undefined, { receipt: true });
  await child.send('take it', new Fd(0), { receipt: true, timeout: 100, signal: AbortSignal.timeout(1), keepOpen: true });
  const below: boolean = child.send('x', new Fd({ fd: 1 }));
  if (!child.send(null)) await child.channel?.ready({ timeout: 10 });
  child.channel?.on('drain', () => {}).once('drain', () => {});
  const left: Queued | undefined = child.channel?.flushSync({ deadline: 5 });
  const waiting: number = child.channel!.queued.messages + child.channel!.queued.bytes;
  const transport: 'socket' | 'ring' | undefined = child.channel?.transport;
  child.channel?.unref();
  child.channel!.payload = 'view';
  const given: boolean = release(alloc(100_000).subarray(10));

  const sum = await child.request<number>({ add: [1, 2] }, { timeout: 500 });
  sum.toFixed();
  child.onRequest(async (body, { signal }) => (signal.aborted ? null : body));
  child.onRequest(null);

  const one = await child.getOneMessage<{ ready: true }>({ filter: (message) => message.ready, timeout: 1_000 });
  const ready: true = one.ready;
  for await (const message of child.getEachMessage<string>({ signal: AbortSignal.timeout(10) })) message.trim();
}

child.on('protocolError', (error) => {
  const code: ProtocolErrorCode = error.code;
  const any: ErrorCode = code;
});
child.on('handleProblem', ({ reason, message }) => {
  const why: 'refused' | 'kind' | 'lost' | 'missing' = reason;
}).once('handleTimeout', ({ unacknowledged, timeout }) => unacknowledged + timeout);
child.on('message', (message: { text: string }, handle: Fd) => handle.kind);

const withChannel = spawn(process.execPath, ['child.js'], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], maxDepth: 3 });
withChannel.request('x');
spawn('./child', { stdio: ['pipe', 'pipe', 'pipe', 'ignore', 'ipc'], dieWithParent: true }).onRequest(null);

const handles: Handle[] = [new Fd(0), dgram];
const kinds: HandleKind[] = ['net.Socket', 'net.Server', 'net.Native', 'net.BoundSocket', 'dgram.Socket', 'dgram.Native', 'fd'];
const number: number = Fd.adopt(new Fd(0).detach()).fd;
new Fd(0).close();

const up: Parent | undefined = parent;
parent?.on('message', (message, handle) => [message, handle]).once('disconnect', () => {});
parent?.on('protocolError', (error) => error.code);
parent?.onRequest((body) => body);
parent?.send('x', null, { receipt: true }).then(() => parent?.disconnect());
const thread = parent as ThreadParent | undefined;
thread?.on('message', (message) => thread.send(message));

const takeBack: () => void = flushOnSignals(['SIGTERM', 'SIGINT'], { deadline: 100 });
takeBack();
flushOnSignals();
const text: string = version;

// @ts-expect-error no such transport
fork('./child.js', { transport: 'pipe' });
// @ts-expect-error no such way to receive
fork('./child.js', { payload: 'lend' });
// @ts-expect-error no such policy
fork('./child.js', { onProtocolError: 'throw' });
// @ts-expect-error no such kind of handle
fork('./child.js', { acceptHandles: ['tls.Socket'] });
// @ts-expect-error milliseconds are a number
fork('./child.js', { frameTimeout: '1s' });
// @ts-expect-error a receipt is a promise, not a boolean
const wrong: boolean = child.send('x', undefined, { receipt: true });
// @ts-expect-error without a receipt there is no promise
child.send('x').then(() => {});
// A callback beside a receipt hears of the same.
child.send('x', undefined, { receipt: true }, () => {});
// @ts-expect-error a handler is a function
child.onRequest('add');
// @ts-expect-error the reason is one of four
child.on('handleProblem', ({ reason }) => reason === 'closed');
// @ts-expect-error what an Fd is cannot be set
new Fd(0).kind = 'file';
// @ts-expect-error a thread sends no handles
thread?.send('x', new Fd(0));
// @ts-expect-error the parent may be absent
parent.send('x');
// @ts-expect-error not a signal
flushOnSignals(['SIGNOTHING']);
// @ts-expect-error not a code
const code: ErrorCode = 'ERR_RSIPC_NONSENSE';
