'use strict';
// Every error rsipc makes, with its code and its wording. Node's own code and text wherever Node has one.

const { constants: { errno: constants } } = require('node:os');
const { inspect, getSystemErrorName } = require('node:util');

// Node's errors carry their code in the stack's first line but not in `name`.
function withCode(Base, code, message) {
  const error = new Base(message);
  const { name } = error;
  Object.defineProperty(error, 'name', { value: `${name} [${code}]`, configurable: true, writable: true });
  void error.stack; // formed here, with the code in it
  delete error.name;
  error.code = code;
  return error;
}

// The end of Node's ERR_INVALID_ARG_TYPE texts.
function received(value) {
  if (value == null) return ` Received ${value}`;
  if (typeof value === 'function') return ` Received function ${value.name}`;
  if (typeof value === 'object') {
    if (value.constructor?.name) return ` Received an instance of ${value.constructor.name}`;
    return ` Received ${inspect(value, { depth: -1 })}`;
  }
  let text = inspect(value, { colors: false });
  if (text.length > 28) text = `${text.slice(0, 25)}...`;
  return ` Received type ${typeof value} (${text})`;
}

const node = {
  channelClosed: () => withCode(Error, 'ERR_IPC_CHANNEL_CLOSED', 'Channel closed'),
  disconnected: () => withCode(Error, 'ERR_IPC_DISCONNECTED', 'IPC channel is already disconnected'),
  missingMessage: () => withCode(TypeError, 'ERR_MISSING_ARGS', 'The "message" argument must be specified'),
  invalidMessage: (value) => withCode(TypeError, 'ERR_INVALID_ARG_TYPE',
    `The "message" argument must be one of type string, object, number, or boolean.${received(value)}`),
  invalidType: (name, wanted, value) => withCode(TypeError, 'ERR_INVALID_ARG_TYPE',
    `The "${name}" ${name.includes('.') ? 'property' : 'argument'} must be ${wanted}.${received(value)}`),
  invalidValue: (name, value, reason) => withCode(TypeError, 'ERR_INVALID_ARG_VALUE',
    `The ${name.includes('.') ? 'property' : 'argument'} '${name}' ${reason}. Received ${inspect(value)}`),
  outOfRange: (name, range, value) => withCode(RangeError, 'ERR_OUT_OF_RANGE',
    `The value of "${name}" is out of range. It must be ${range}. Received ${inspect(value)}`),
  badPort: (value) => withCode(RangeError, 'ERR_SOCKET_BAD_PORT', `Port should be >= 0 and < 65536.${received(value)}.`),
  invalidHandle: () => withCode(TypeError, 'ERR_INVALID_HANDLE_TYPE', 'This handle type cannot be sent'),
  illegalConstructor: () => withCode(TypeError, 'ERR_ILLEGAL_CONSTRUCTOR', 'Illegal constructor'),
  addressInUse: (path) => Object.assign(new Error(`listen EADDRINUSE: address already in use ${path}`), { code: 'EADDRINUSE', errno: -constants.EADDRINUSE, syscall: 'listen', address: path, port: -1 }),
  childClosedBeforeReply: () => withCode(Error, 'ERR_CHILD_CLOSED_BEFORE_REPLY', 'Child closed before reply received'),
};

// As Node reports a failed system call: `write EPIPE` with `errno`, `code` and `syscall`.
function systemError(errno, syscall) {
  let code;
  try {
    code = getSystemErrorName(errno);
  } catch {
    code = `Unknown system error ${errno}`;
  }
  const error = new Error(`${syscall} ${code}`);
  error.errno = errno;
  error.code = code;
  error.syscall = syscall;
  return error;
}

// Errors of a write after which the channel takes nothing any more: the others concern one message.
const FATAL = new Set([-constants.EPIPE, -constants.ECONNRESET, -constants.ENOTCONN]);

function abortError(signal) {
  const error = withCode(Error, 'ABORT_ERR', 'The operation was aborted');
  error.name = 'AbortError';
  if (signal?.reason !== undefined) error.cause = signal.reason;
  return error;
}

// What a peer has said of itself, in so much of a text as is safe to show.
const text = (said) => said.slice(0, 100).replace(/[^\x20-\x7e]/g, '?');

// Of servers and clients.
const connections = {
  noNamedHandler: (who, name) => withCode(Error, 'ERR_RSIPC_NO_HANDLER', `${who} has no handler for '${name.length > 60 ? `${name.slice(0, 60)}…` : name}'; set one there with handle(name, fn)`),
  connectionClosed: (who) => withCode(Error, 'ERR_RSIPC_CLOSED', `The connection to ${who} has been closed`),
  serverClosed: (where) => withCode(Error, 'ERR_RSIPC_CLOSED', `The server at ${where} has been closed`),
  outboxFull: (who, bytes) => withCode(Error, 'ERR_RSIPC_OUTBOX_FULL', `${bytes} bytes wait for ${who}, which does not read them; await what send returns, or say with slowPeer what is to be given up`),
  untaken: (who, count) => withCode(Error, 'ERR_RSIPC_OUTBOX_FULL', `${count} handles wait for ${who}, which has not taken them; await what send returns`),
  unsent: (who, bytes, why) => Object.assign(withCode(Error, 'ERR_RSIPC_UNSENT', `${bytes} bytes that were sent to ${who} were not written: ${why}`), { unsent: bytes }),
  noHandles: (endpoint) => withCode(Error, 'ERR_RSIPC_NO_HANDLES', `Handles travel over UNIX sockets between rsipc ends; ${endpoint} is none`),
  oneWay: (who) => withCode(Error, 'ERR_RSIPC_ONE_WAY', `${who} can only be read from; messages go one way here`),
  noRequests: (who) => withCode(Error, 'ERR_RSIPC_NO_REQUESTS', `${who} gives no answers that are known to arrive; requests need a stream: unix:, rsipc:, tcp: or tls:`),
  protoKey: (who) => withCode(Error, 'ERR_RSIPC_PROTO_KEY', `${who}: a message has a key '__proto__', which the first copy of it would make its prototype; say with protoAction what is to become of such keys`),
  untrusted: (endpoint, why) => withCode(Error, 'ERR_RSIPC_UNTRUSTED', `${endpoint}: ${why}`),
  longMessage: (bytes, longest, where) => withCode(RangeError, 'ERR_RSIPC_MESSAGE_TOO_LARGE', `A message of ${bytes} bytes is longer than the ${longest} that ${where} can carry`),
  stdioTaken: () => withCode(Error, 'ERR_RSIPC_BUSY', 'stdio: has been connected in this process already'),
  refused: (who, why) => withCode(Error, 'ERR_RSIPC_REFUSED', `${who} has refused the connection: ${text(why)}`),
  otherCodec: (who, ours, theirs) => withCode(Error, 'ERR_RSIPC_CODEC', `${who} speaks codec '${text(theirs)}' and this end '${ours}'; give both the same`),
  unsupported: (endpoint, why) => withCode(Error, 'ERR_RSIPC_UNSUPPORTED', `${endpoint}: ${why}`),
  noDispatcher: () => withCode(Error, 'ERR_RSIPC_UNSUPPORTED',
    'fetch has been given a dispatcher of another kind here, so the kind that it comes with cannot be found: use `agent` with http.request'),
  noDescriptors: (endpoint) => withCode(Error, 'EMFILE', `${endpoint}: connections wait, and this process has no descriptor to take them with`),
  busClosed: (where) => withCode(Error, 'ERR_RSIPC_CLOSED', `The bus at ${where} has been closed`),
  slowSubscriber: (pattern) => withCode(Error, 'ERR_RSIPC_SLOW_CONSUMER', `The subscription to ${pattern} has been ended: it did not keep up with what is published; subscribe again, or with policy 'drop-oldest'`),
  publicationTooLarge: (bytes, limit) => withCode(RangeError, 'ERR_RSIPC_MESSAGE_TOO_LARGE', `A message of ${bytes} bytes is too long for a bus, which takes ${limit}`),
  joinWarning: (where, why) => `The bus at ${where} cannot be joined; it is tried again: ${why}`,
  broadcastWarning: 'Messages of a BroadcastChannel are dropped: more than 65,536 wait for the others; post them in several turns of the loop',
  unheardWarning: (who) => `Messages of ${who} are dropped: nobody listens for 'message', and those that came first fill what is kept`,
};

const rsipc = {
  ...connections,
  peerGone: (who, what) => withCode(Error, 'ERR_RSIPC_PEER_GONE',
    `${what} cannot be completed: ${who} has disconnected or exited`),
  plainPeer: (who, what, waited) => withCode(Error, 'ERR_RSIPC_PLAIN_PEER',
    `${what} needs rsipc at the other end, and ${who} has not answered as one within ${waited} ms. ` +
    'Load rsipc there (`require(\'rsipc\')` or `node -r rsipc/register`).'),
  noListener: (who) => withCode(Error, 'ERR_RSIPC_NO_LISTENER',
    `${who} has no 'message' listener; the message was dropped there`),
  noHandler: (who) => withCode(Error, 'ERR_RSIPC_NO_HANDLER',
    `${who} has no request handler; set one there with onRequest(fn)`),
  handleRejected: (who, why) => withCode(Error, 'ERR_RSIPC_HANDLE_REJECTED',
    `${who} did not take the handle: ${why}`),
  timeout: (what, milliseconds) => withCode(Error, 'ERR_RSIPC_TIMEOUT', `${what} was not answered within ${milliseconds} ms`),
  tooManyRequests: (limit) => withCode(Error, 'ERR_RSIPC_TOO_MANY_REQUESTS',
    `${limit} requests are waiting for a reply already; wait for some before sending more`),
  notSerializable: () => withCode(TypeError, 'ERR_RSIPC_NOT_SERIALIZABLE',
    'The message has no JSON form (its toJSON returns undefined), so there is nothing to send'),
  messageTooLarge: () => withCode(RangeError, 'ERR_RSIPC_MESSAGE_TOO_LARGE', 'The serialized message is longer than 2 GiB, which no frame can hold'),
  protocol: (code, message) => withCode(Error, code, message),
  threadHandle: () => withCode(Error, 'ERR_RSIPC_THREAD_HANDLE', 'A handle cannot be sent from a worker thread; send it from the main thread'),
  notAvailable: (what) => withCode(Error, 'ERR_RSIPC_NOT_AVAILABLE', `${what} needs rsipc's native part, which is not loaded here or has nothing of the kind on this system (${process.platform})`),
  shared: (code, what, text) => withCode(code === 'ERR_RSIPC_RECORD_TOO_LARGE' ? RangeError : Error, code, `${what}: ${text}`),
  sharedClosed: (what) => withCode(Error, 'ERR_RSIPC_CLOSED', `${what} has been closed`),
  deadlock: (what) => withCode(Error, 'ERR_RSIPC_DEADLOCK', `${what} is held by this thread, which would wait for itself; release it first, or wait without blocking the thread`),
  comesOnce: (what) => withCode(Error, 'ERR_RSIPC_DEADLOCK', `${what} is waited at by this thread already, which is one party of it and cannot come twice`),
  slotOpen: (what) => withCode(Error, 'ERR_RSIPC_BUSY', `${what}: a reserved record is being filled; commit or abandon it first`),
  roomGone: (what) => withCode(Error, 'ERR_RSIPC_FULL', `${what}: another producer has taken the room meanwhile; commit again later`),
  noViews: (what) => withCode(Error, 'ERR_RSIPC_NO_VIEWS',
    `${what}: this runtime has no buffers over memory that is not its own, so its bytes cannot be shown in place`),
  waitTimeout: (what, milliseconds) => withCode(Error, 'ERR_RSIPC_TIMEOUT', `${what} took longer than ${milliseconds} ms`),
  noRing: (who) => withCode(Error, 'ERR_RSIPC_NO_RING',
    `transport: 'ring' is not to be had: ${who} is rsipc but shares no memory (its transport is 'socket', there is none left, or its ` +
    'system has no such thing); the channel stays on the socket'),
  endInUse: () => withCode(Error, 'ERR_RSIPC_CHANNEL_END_IN_USE',
    'This channel end has been used here already, so what has arrived at it would be lost; give an end away before its first use'),
  endClosed: () => withCode(Error, 'ERR_RSIPC_CLOSED', 'This channel end has been closed or given away'),
  endTaken: () => withCode(Error, 'ERR_RSIPC_CLOSED', 'This channel end has been taken by another thread already'),
  socketClosed: () => withCode(Error, 'ERR_RSIPC_CLOSED', 'The socket is closed, or was given away'),
  alreadyRead: () => withCode(Error, 'ERR_RSIPC_ALREADY_READ',
    'The socket is being read, so its first bytes may be gone. Make its server with { pauseOnConnect: true } and look before you read'),
  peekTimeout: (milliseconds) => withCode(Error, 'ERR_RSIPC_TIMEOUT', `What the connection begins with was not complete within ${milliseconds} ms`),
  workerNotReady: (why) => withCode(Error, 'ERR_RSIPC_WORKER_NOT_READY', `A new worker has not become ready: ${why}. The old ones stay.`),
  noWorker: (id) => withCode(Error, 'ERR_RSIPC_NOT_FOUND', `There is no worker ${id}, or it has disconnected; cluster.siblings() tells which there are`),
  reloading: () => withCode(Error, 'ERR_RSIPC_RELOADING', 'The cluster is being reloaded already; wait for that to end'),
  takenOver: (name) => withCode(Error, 'ERR_RSIPC_RELOADING', `This primary is called ${JSON.stringify(name)} already`),
  successorGone: () => withCode(Error, 'ERR_RSIPC_PEER_GONE', 'The primary that was to take over has ended; this one stays'),
  crashLoop: (times, code, signal) => withCode(Error, 'ERR_RSIPC_CRASH_LOOP',
    `${times} workers in a row have ended shortly after their start, the last one with ${signal ?? `code ${code}`}; none is started any more until cluster.reload() or cluster.fork()`),
  fdClosed: () => withCode(Error, 'ERR_RSIPC_FD_CLOSED', 'This Fd has been closed or sent already'),
};

module.exports = { FATAL, node, rsipc, systemError, abortError, withCode };
