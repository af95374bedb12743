'use strict';
// Moves a channel into shared memory once both ends know that the other is rsipc.
//
// The parent makes the memory and offers it, one descriptor a message. The child maps it and sends there
// from then on; when the parent reads that, it does the same. Each direction keeps its order: a frame on
// the socket says where its sender has gone over. A child that cannot map the memory stays on the socket.

const { Fd } = require('./fd.js');
const { release } = require('./handles.js');
const { serializeWhole } = require('./serialization.js');

// Whether this channel may leave the socket.
function allowed(link) {
  return link.settings.transport !== 'socket' && link.native.offerLanes !== undefined;
}

// The parent's part, when its child has said that it can.
function offer(link) {
  if (!allowed(link) || link.offered) return;
  link.offered = true;
  const envelopes = [0, 1].map((part) => {
    const envelope = { cmd: 'NODE_HANDLE', type: 'fd', msg: { cmd: 'NODE_RSIPC', act: 'lanes', part } };
    return link.advanced ? serializeWhole(envelope) : Buffer.from(JSON.stringify(envelope));
  });
  link.flush();
  // No memory or no descriptors left, or the peer is gone: the socket does it.
  if (link.native.offerLanes(...envelopes) >= 0) link.sentByItself(envelopes.length);
}

// Of a channel that may not stay on the socket: asks at once, and says so when it cannot leave it.
function demand(link) {
  link.peer.handshake("transport: 'ring'", { stay: false }).catch((error) => {
    if (link.target.connected) link.target.emit('error', error);
  });
}

// The child's part: the two descriptors of an offer.
function receive(link, part, handle) {
  if (!(handle instanceof Fd)) {
    release(handle);
    return;
  }
  if (part === 0) {
    link.offer?.close();
    link.offer = handle;
    return;
  }
  const there = link.offer;
  link.offer = null;
  try {
    if (there == null || !allowed(link)) return;
    link.native.acceptLanes(there.fd, handle.fd);
    share(link);
  } catch {
    // Not memory of ours, or none that this end can map.
  } finally {
    there?.close();
    handle.close();
  }
}

// Sends through the memory from now on.
function share(link) {
  link.flush();
  link.native.share();
  link.shared();
}

// The peer does so.
function switched(link) {
  if (link.transport !== 'socket') return;
  try {
    share(link);
  } catch {
    // The peer has gone since: what it has left is read, and its end told.
  }
}

module.exports = { allowed, demand, offer, receive, switched };
