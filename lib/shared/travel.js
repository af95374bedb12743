'use strict';
// Shared objects as handles: what of one travels over a fork channel, and how it is one again.
//
// One without a name travels as its descriptor, which is sealed. One with a name is opened by its name at the other
// end; the descriptor says whether that is still the same object.

const fs = require('node:fs');
const native = require('../binding.js');

// On the prototype of all shared objects; answers the parts that travel.
const PARTS = Symbol('rsipc.parts');

function partsOf(handle) {
  return handle[PARTS]?.();
}

const MODULES = {
  ring: () => require('./ring.js').Ring,
  memory: () => require('./memory.js').SharedMemory,
  cell: () => require('./cell.js').Cell,
};

function sameFile(one, other) {
  const a = fs.fstatSync(one, { bigint: true });
  const b = fs.fstatSync(other, { bigint: true });
  return a.ino === b.ino && a.dev === b.dev;
}

// The object that a descriptor and the words of the envelope stand for; undefined if they stand for none. The
// descriptor is used up.
function arrive(words, fd) {
  try {
    if (words === null || typeof words !== 'object' || !Object.hasOwn(MODULES, words.kind)) return undefined;
    const Kind = MODULES[words.kind]();
    if (words.name === undefined) return Kind[ADOPT](fd);
    if (typeof words.name !== 'string') return undefined;
    const object = Kind.open(words.name);
    if (sameFile(fd, object[PARTS]().fd)) return object;
    object.close();
    return undefined;
  } catch {
    return undefined; // of another version, not sealed, unlinked meanwhile, or nothing of the kind
  } finally {
    native.closeFd(fd);
  }
}

// A static method of each kind: makes one of a descriptor, which stays the caller's.
const ADOPT = Symbol('rsipc.adopt');

module.exports = { PARTS, ADOPT, partsOf, arrive };
