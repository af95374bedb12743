'use strict';
// Sockets, servers, shared memory and other descriptors between processes that are not parent and child, over UNIX
// sockets. Several may come with one message; the sender is told whether a listener has had them.

const native = require('../binding.js');
const { constants: { errno } } = require('node:os');
const { node, rsipc, systemError } = require('../errors.js');
const fork = require('../fork/handles.js');
const { give } = require('../fork/inbox.js');
const { rejected } = require('./rejected.js');
const slabs = require('./slabs.js');
const { OPEN, CLOSED } = require('./state.js');

const MOST = 64; // descriptors of one message
const MOST_UNTAKEN = 1_024; // that a peer has not taken yet: those that wait here are open twice
const TOGETHER = 32; // messages
const LAST_ID = 0xffff_ffff;
// There was no descriptor for a duplicate, or nothing to duplicate: nothing was sent, and the connection is as it was.
const NOT_TAKEN = new Set([-errno.EMFILE, -errno.ENFILE, -errno.EBADF]);
// The kinds of descriptor that fit a type; null for all. libuv would abort the process over any other.
const [STREAMS, DATAGRAMS] = [['tcp', 'pipe', 'fifo'], ['udp']];
const FITTING = new Map([
  ['net.Socket', STREAMS], ['net.Server', STREAMS], ['net.Native', STREAMS], ['net.BoundSocket', STREAMS],
  ['dgram.Socket', DATAGRAMS], ['dgram.Native', DATAGRAMS], ['fd', null],
]);
const EARLY = 64 * 1024; // what each counts for while nobody listens: descriptors are scarcer than memory

// The fork channel tells the parent of connections that belong to its servers; here is no parent.
const NO_LISTS = { sentFor() {}, received() {} };
const NO_LINK = { requirePeer() {}, lists: NO_LISTS };

const holding = new Set(); // links with messages that leave at the end of the tick
let watchesExit = false;

// Resolves when a listener of the peer's has taken the message. Sockets are the peer's from the call on.
function send(link, message, given, options = {}) {
  const many = Array.isArray(given);
  const handles = many ? given : [given];
  if (handles.length === 0 || handles.length > MOST) throw node.outOfRange('handles.length', `>= 1 && <= ${MOST}`, handles.length);
  const { codec } = link.settings;
  const encoded = Buffer.from(link.codec.encode(message, codec));
  const prepared = handles.map((handle) => {
    const described = fork.classify(handle);
    if (described.wrap === null || described.wrap.fd < 0) throw node.invalidHandle();
    const { envelope, sent } = fork.prepare(NO_LINK, handle, described, options);
    const { type, dgramType, shared } = envelope;
    return { said: { type, dgramType, shared }, fd: described.wrap.fd, sent };
  });
  if (link.state > OPEN) return rejected(rsipc.connectionClosed(link.who()));
  if (link.state !== OPEN) return rejected(rsipc.peerGone(link.who(), 'Sending a handle'));
  if (!link.native.passesHandles) throw rsipc.noHandles(link.user.endpoint);
  if (link.queued > 0 && link.queued + encoded.length > link.settings.maxOutbox) return rejected(rsipc.outboxFull(link.who(), link.queued));
  if (link.untaken + handles.length > MOST_UNTAKEN) return rejected(rsipc.untaken(link.who(), link.untaken));
  link.untaken += handles.length;
  const { id, promise } = link.rpc().expect('The message with a handle', () => { link.untaken -= handles.length; });
  const said = Buffer.from(JSON.stringify({ id, many: many || undefined, handles: prepared.map((one) => one.said) }));
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32LE(said.length);
  link.server?.cast();
  link.part(link.kind);
  if (link.bytes > 0) link.codec.flush(link, false);
  const queued = link.native.sendHandles(Buffer.concat([length, said, encoded]), prepared.map((one) => one.fd), writesNow(link));
  promise.catch(() => {});
  if (NOT_TAKEN.has(queued)) {
    link.rpc().rejected(id, systemError(queued, 'dup'));
    return promise;
  }
  link.answered(queued);
  if (queued >= 0) for (const one of prepared) one.sent();
  return promise;
}

// Whether to write now. The first of a tick leaves at once; the others are gathered until it ends, or there are so many:
// several leave with one call, and wake the peer once.
function writesNow(link) {
  if (!link.scheduled) {
    link.schedule();
    return true;
  }
  if (link.held === 0) {
    holding.add(link);
    if (!watchesExit) process.on('exit', writeAll);
    watchesExit = true;
  }
  if (++link.held < TOGETHER) return false;
  written(link);
  return true;
}

function written(link) {
  link.held = 0;
  holding.delete(link);
}

// This process has let go of them already.
function writeAll() {
  for (const link of holding) link.write();
}

// What a message with handles says: [what its handles are, the message], or undefined when it says nothing.
function read(link, bytes) {
  if (bytes.length < 4) return undefined;
  const end = 4 + bytes.readUInt32LE(0);
  if (end > bytes.length) return undefined;
  let said;
  try {
    said = JSON.parse(bytes.toString('utf8', 4, end));
  } catch {
    return undefined;
  }
  const good = said !== null && typeof said === 'object' && Number.isInteger(said.id) && said.id >= 0 && said.id <= LAST_ID && Array.isArray(said.handles) && said.handles.length > 0
    && said.handles.every((one) => one !== null && typeof one === 'object' && typeof one.type === 'string');
  return good ? [said, bytes.subarray(end)] : undefined;
}

// Why a descriptor is not taken.
function refusal(link, said, event, index) {
  const accepted = link.settings.acceptHandles;
  if (event.fds[index] === undefined) return 'lost';
  const { type } = said.handles[index];
  const fitting = FITTING.get(type);
  if (fitting === undefined || (fitting !== null && !fitting.includes(event.fdKinds[index]))) return 'kind';
  return accepted === undefined || accepted.includes(type) ? undefined : 'refused';
}

function receive(link, event) {
  const content = read(link, event.bytes);
  if (content === undefined || content[0].handles.length !== event.announced) {
    discard(event);
    link.malformed(event.bytes.length);
    return;
  }
  const [said, encoded] = content;
  if (said.slab !== undefined) {
    slabs.receive(link, said, event);
    return;
  }
  const why = said.handles.map((_, index) => refusal(link, said, event, index)).find((reason) => reason !== undefined);
  if (why !== undefined) {
    discard(event);
    link.codec.failure(link, said.id, { name: 'Error', code: 'ERR_RSIPC_HANDLE_REJECTED', message: rsipc.handleRejected(link.server === null ? 'the client' : 'the server', why).message });
    return;
  }
  const made = [];
  let missing = said.handles.length;
  let letGo = null;
  said.handles.forEach((one, index) => {
    let told = false;
    fork.build(one, event.fds[index], event.fdKinds[index], NO_LISTS, (object, problem = object === undefined ? 'kind' : undefined) => {
      if (told) return;
      told = true;
      made[index] = object;
      if (problem !== undefined) said.problem = problem;
      if (--missing === 0) letGo?.(() => tell(link, said, encoded, made), () => release(made.filter((object) => object !== undefined)));
    });
  });
  // Servers and datagram sockets have to start listening first; what comes behind waits.
  if (missing > 0) letGo = link.wait();
  else tell(link, said, encoded, made);
}

function tell(link, said, encoded, made) {
  const objects = made.filter((object) => object !== undefined);
  const drop = (reason) => {
    release(objects);
    if (link.state !== CLOSED) link.codec.failure(link, said.id, { name: 'Error', code: 'ERR_RSIPC_HANDLE_REJECTED', message: rsipc.handleRejected(link.server === null ? 'the client' : 'the server', reason).message });
  };
  if (link.state === CLOSED || said.problem !== undefined) {
    drop(said.problem ?? 'lost');
    return;
  }
  const message = link.codec.decode(link, encoded);
  if (message === link) {
    drop('lost');
    return;
  }
  for (const object of objects) if (typeof object.on === 'function') object.on('error', unheard);
  link.deliverWith(message, said.many === true ? made : made[0], encoded.length + EARLY * made.length, (taken) => {
    if (!taken) {
      drop('no listener');
      return;
    }
    for (const object of objects) give(object);
    for (const object of objects) if (typeof object.removeListener === 'function') object.removeListener('error', unheard);
    if (link.state !== CLOSED) link.codec.reply(link, said.id, link.settings.codec === 'raw' ? undefined : null);
  });
}

const unheard = () => {};

// Closes descriptors that nobody will have.
function discard(event) {
  for (const fd of event.fds) native.closeFd(fd);
}

function release(handles) {
  for (const handle of handles) {
    if (handle === undefined) continue;
    if (typeof handle.destroy === 'function') handle.destroy();
    else fork.release(handle);
  }
}

module.exports = { send, written, receive, discard, release };
