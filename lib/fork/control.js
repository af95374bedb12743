'use strict';
// `child.channel`: reference counting as Node does it, and what rsipc adds to a channel.
//
// A counter holds the reasons to keep the process alive; once the user has called `ref` or `unref`
// their word stands and the counter no longer touches the loop.

const EventEmitter = require('node:events');

// Listening on `channel` for these is how backpressure is followed: 'drain'.
class Control extends EventEmitter {
  #link;
  #references = 0;
  #explicit = false;

  constructor(link, references = 0) {
    super();
    this.#link = link;
    this.#references = references;
  }

  refCounted() {
    if (++this.#references === 1 && !this.#explicit) this.#link.setRef(true);
  }

  unrefCounted() {
    if (--this.#references === 0 && !this.#explicit) {
      this.#link.setRef(false);
      this.emit('unref');
    }
  }

  ref() {
    this.#explicit = true;
    this.#link.setRef(true);
  }

  unref() {
    this.#explicit = true;
    this.#link.setRef(false);
  }

  hasRef() {
    return this.#link.native.hasRef();
  }

  get fd() {
    return this.#link.open ? this.#link.native.fd : undefined;
  }

  // 'ring' when this end sends through shared memory, 'socket' before that and where it cannot.
  get transport() {
    return this.#link.transport;
  }

  // How large Buffers are received that lie in shared memory: 'copy', or 'view'.
  get payload() {
    return this.#link.payload;
  }

  set payload(value) {
    this.#link.receiveAs(value);
  }

  // Messages and bytes that are accepted and not yet taken by the kernel.
  get queued() {
    return this.#link.queued();
  }

  // Resolves when the queue is below the high-water mark; rejects when the peer is gone.
  ready(options) {
    return this.#link.ready(options);
  }

  // Blocks until everything queued is written, or until the peer has taken nothing for `deadline` ms.
  flushSync(options) {
    return this.#link.flushSync(options);
  }
}

module.exports = { Control };
