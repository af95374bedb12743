'use strict';
// Moves a channel into shared memory once both ends know that the other is rsipc.
//
// One of them, the parent where there is one, makes the memory and offers it, one descriptor a message. The
// other maps it and sends there from then on; when the first reads that, it does the same. Each direction
// keeps its order: a frame on the socket says where its sender has gone over. An end that cannot map the
// memory says so, and the channel stays on the socket.

const { FATAL, rsipc } = require('../errors.js');
const { Fd } = require('./fd.js');
const { release } = require('./handles.js');
const { serializeWhole } = require('./serialization.js');

// Of many children that are started at once, the last needs its time to load rsipc; nobody waits for it meanwhile.
const PATIENCE = 30_000; // ms

// Whether this channel may leave the socket.
function allowed(link) {
  return link.settings.transport !== 'socket' && link.native.offerLanes !== undefined;
}

// The part of the end that offers, when the other has said that it can.
function offer(link) {
  if (!allowed(link) || link.offered) return;
  link.offered = true;
  const envelopes = [0, 1].map((part) => {
    const envelope = { cmd: 'NODE_HANDLE', type: 'fd', msg: { cmd: 'NODE_RSIPC', act: 'lanes', part } };
    return link.advanced ? serializeWhole(envelope) : Buffer.from(JSON.stringify(envelope));
  });
  link.flush();
  // No memory or no descriptors left, or the peer is gone: the socket does it.
  const code = link.native.offerLanes(...envelopes);
  if (code >= 0) link.sentByItself(envelopes.length);
  else if (!FATAL.has(code)) refused(link);
}

// There is no memory that both ends have. Whoever demanded it is told.
function refused(link) {
  if (link.settings.transport !== 'ring') return;
  process.nextTick(() => {
    if (link.target.connected) link.target.emit('error', rsipc.noRing(link.who()));
  });
}

// Of a channel that may not stay on the socket: asks at once, and says so when it cannot leave it.
function demand(link) {
  link.peer.handshake("transport: 'ring'", { patience: PATIENCE, stay: false, plain: true }).catch((error) => {
    if (link.target.connected) link.target.emit('error', error);
  });
}

// What the other end has to say of the memory: one of the two descriptors of an offer, or that it cannot use it.
function receive(link, message, handle) {
  if (link.role.offers) {
    release(handle);
    if (message.refused === true && link.offered && link.transport === 'socket') refused(link);
    return;
  }
  accept(link, message.part, handle);
}

function accept(link, part, handle) {
  if (!(handle instanceof Fd)) {
    release(handle);
    refuse(link);
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
    if (there != null && allowed(link)) {
      link.native.acceptLanes(there.fd, handle.fd);
      share(link);
    }
  } catch {
    // Not memory of ours, or none that this end can map.
  } finally {
    there?.close();
    handle.close();
  }
  if (link.transport === 'socket') refuse(link);
}

// Once: a peer that offers all the time must not fill the queue.
function refuse(link) {
  if (link.offered) return;
  link.offered = true;
  link.sendControl({ act: 'lanes', refused: true });
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

module.exports = { allowed, demand, offer, receive, refused, switched };
