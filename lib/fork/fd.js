'use strict';
// `rsipc.Fd`: any descriptor as a handle, between two rsipc peers.

const native = require('../binding.js');
const { node, rsipc } = require('../errors.js');

const kAdopt = Symbol('adopt');

class Fd {
  #fd;

  // Owns a duplicate of `fd`; the caller's descriptor stays the caller's.
  constructor(fd, how) {
    if (how === kAdopt) {
      this.#fd = fd;
      return;
    }
    const number = typeof fd === 'object' && fd !== null ? fd.fd : fd;
    if (!Number.isInteger(number) || number < 0) throw node.invalidType('fd', 'a descriptor number or an object with one in `fd`', fd);
    if (native.duplicateFd === undefined) throw rsipc.notAvailable('rsipc.Fd');
    this.#fd = native.duplicateFd(number);
  }

  // Takes the descriptor itself, for one that has just arrived.
  static adopt(fd) {
    if (!Number.isInteger(fd) || fd < 0) throw node.invalidType('fd', 'a descriptor number', fd);
    if (native.duplicateFd === undefined) throw rsipc.notAvailable('rsipc.Fd');
    return new Fd(fd, kAdopt);
  }

  get fd() {
    return this.#fd;
  }

  // 'file', 'pipe', 'tcp', 'memfd', 'eventfd', …
  get kind() {
    if (this.#fd < 0) throw rsipc.fdClosed();
    return native.fdKind(this.#fd);
  }

  // Gives the descriptor to the caller, who closes it.
  detach() {
    if (this.#fd < 0) throw rsipc.fdClosed();
    const fd = this.#fd;
    this.#fd = -1;
    return fd;
  }

  close() {
    if (this.#fd >= 0) native.closeFd(this.detach());
  }

  [Symbol.dispose ?? Symbol.for('nodejs.dispose')]() {
    this.close();
  }
}

module.exports = { Fd };
