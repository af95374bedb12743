'use strict';
// The slabs of a channel: how they are offered there.

const { Slabs, OWN } = require('../slabs.js');
const { Fd } = require('./fd.js');
const { release } = require('./handles.js');
const { serializeWhole } = require('./serialization.js');

class ChannelSlabs extends Slabs {
  #link;

  constructor(link) {
    super(link);
    this.#link = link;
  }

  propose(number, capacity) {
    const link = this.#link;
    const envelope = serializeWhole({ cmd: 'NODE_HANDLE', type: 'fd', msg: { cmd: 'NODE_RSIPC', act: 'slab', number } });
    link.flush();
    try {
      const code = number === OWN ? link.native.offerSlab(envelope, capacity) : link.native.offerPool(envelope);
      if (code >= 0) link.sentByItself(1);
    } catch {
      // No memory or no descriptors left: the ring does it.
    }
  }

  // Memory that the other end has offered.
  receive(number, handle) {
    if (!(handle instanceof Fd)) {
      release(handle);
      return;
    }
    if (this.accept(number, handle.fd)) this.#link.sendControl({ act: 'slab-taken', number });
    handle.close();
  }
}

module.exports = { ChannelSlabs };
