'use strict';
// The emitter node-ipc's servers and clients are: `on`, `once`, `off` and `publish`, where '*' as a type hears
// everything and '*' as a handler means all of a type's. Types come from peers, so they are keys of a Map.

const { node } = require('../errors.js');

class Events {
  #handlers = new Map(); // lists that are replaced, never changed, so that a round in progress sees its own

  constructor() {
    // Own properties, as node-ipc's are: a client has an `emit` of its own, and keeps these.
    this.publish = this.trigger = this.emit = this.publish;
    this.subscribe = this.on;
    this.unSubscribe = this.off;
  }

  on(type, handler, once = false) {
    if (typeof handler !== 'function') throw node.invalidType('handler', 'of type function', handler);
    this.#handlers.set(type, [...this.#handlers.get(type) ?? [], { handler, once }]);
    return this;
  }

  once(type, handler) {
    return this.on(type, handler, true);
  }

  off(type, handler) {
    if (handler === '*') {
      this.#handlers.delete(type);
      return this;
    }
    if (typeof handler !== 'function') throw node.invalidType('handler', "of type function, or '*' for all of them", handler);
    this.#keep(type, (entry) => entry.handler !== handler);
    return this;
  }

  publish(type, ...args) {
    for (const { handler } of this.#take('*')) handler.call(this, type, ...args);
    // A peer's event of that name is told to those who hear everything, and to nobody else.
    if (type !== '*') for (const { handler } of this.#take(type)) handler.apply(this, args);
    return this;
  }

  #take(type) {
    const entries = this.#handlers.get(type) ?? [];
    if (entries.some(({ once }) => once)) this.#keep(type, ({ once }) => !once);
    return entries;
  }

  #keep(type, wanted) {
    const entries = (this.#handlers.get(type) ?? []).filter(wanted);
    if (entries.length > 0) this.#handlers.set(type, entries);
    else this.#handlers.delete(type);
  }
}

module.exports = { Events };
