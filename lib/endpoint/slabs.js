'use strict';
// Large messages of a connection beside it, in memory shared with the peer: how that memory is offered, and what is sent
// and read through it.
//
// A frame of kind BESIDE has the kind of the frame that it stands for, the place of that one's payload, and what comes
// before it there.

const native = require('../binding.js');
const { rsipc } = require('../errors.js');
const { Slabs, OWN, LEAST, PLACE } = require('../slabs.js');
const { MESSAGE, FAILURE, BATCH } = require('./kinds.js');

const HEAD = 1 + PLACE;

class ConnectionSlabs extends Slabs {
  #link;

  constructor(link) {
    super(link);
    this.#link = link;
  }

  propose(number, capacity) {
    const link = this.#link;
    const { id, promise } = link.rpc().expectQuietly();
    const said = Buffer.from(JSON.stringify({ id, handles: [{ type: 'fd' }], slab: number }));
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32LE(said.length);
    const payload = Buffer.concat([length, said]);
    promise.then(() => this.taken(number), () => {});
    try {
      link.answered(number === OWN ? link.native.offerSlab(payload, capacity) : link.native.offerPool(payload));
    } catch (error) {
      link.rpc().rejected(id, error); // no memory or no descriptors left: the socket does it
    }
  }
}

// The peer offers memory.
function receive(link, said, event) {
  const slabs = link.memory();
  const taken = slabs !== null && event.fds.length === 1 && slabs.accept(said.slab, event.fds[0]);
  for (const fd of event.fds) native.closeFd(fd);
  if (taken) link.codec.reply(link, said.id, link.settings.codec === 'raw' ? undefined : null);
  else link.codec.failure(link, said.id, { name: 'Error', code: 'ERR_RSIPC_HANDLE_REJECTED', message: rsipc.handleRejected(link.server === null ? 'the client' : 'the server', 'refused').message });
}

// Sends one frame, now: where there is memory, the native end lays a large payload beside it.
function send(link, kind, head, payload) {
  if (payload.length >= LEAST) {
    const slabs = link.memory();
    if (slabs !== null && slabs.layMade(payload)) return link.native.sendBeside(kind, head, slabs.place);
  }
  return link.native.sendBytes(kind, head, payload, true);
}

// What a frame of kind BESIDE says: { kind, place, head }, or null if it is none of an honest peer's.
function read(link, bytes) {
  const kind = bytes[0];
  if (link.slabs === null || bytes.length < HEAD || !(kind === BATCH || (kind >= MESSAGE && kind <= FAILURE))) return null;
  return { kind, place: bytes.subarray(1, HEAD), head: bytes.subarray(HEAD) };
}

module.exports = { ConnectionSlabs, receive, send, read };
