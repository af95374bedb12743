'use strict';
// What all shared objects have in common: a name, a size, an end.

const { node, rsipc } = require('../errors.js');
const validate = require('../validate.js');
const environment = require('./environment.js');
const waits = require('./waits.js');
const { PARTS, ADOPT } = require('./travel.js');

// Only this folder makes objects and their ends.
const MAKE = Symbol('rsipc.make');

function onlyWith(key) {
  if (key !== MAKE) throw node.illegalConstructor();
}

let innerOf;

// The inner side of an object, which its users do not see.
class Inner {
  constructor(native, kind, name) {
    this.native = native;
    this.size = native.size;
    this.kind = kind;
    this.name = name;
    this.closed = false;
    this.unlinked = false;
    this.referenced = true; // its waits keep the process alive
    this.release = () => native.close(); // what closing does
  }

  // How an error calls it.
  what() {
    return described(this.kind, this.name);
  }

  isClosed() {
    return rsipc.sharedClosed(this.what());
  }
}

class Shared {
  #inner;

  constructor(key, native, kind, name) {
    onlyWith(key);
    this.#inner = new Inner(native, kind, name);
  }

  static {
    innerOf = (object) => object.#inner;
  }

  get name() {
    return this.#inner.name;
  }

  get kind() {
    return this.#inner.kind;
  }

  get size() {
    return this.#inner.size;
  }

  get closed() {
    return this.#inner.closed;
  }

  close() {
    const inner = this.#inner;
    if (inner.closed) return;
    inner.closed = true;
    waits.end(this, () => inner.isClosed());
    inner.release();
  }

  unlink() {
    const inner = this.#inner;
    if (inner.name === undefined || inner.unlinked) return;
    if (inner.closed) throw inner.isClosed();
    attempt(inner, () => inner.native.unlink(inner.name));
    inner.unlinked = true;
  }

  ref() {
    waits.setRef(this.#inner, true);
    return this;
  }

  unref() {
    waits.setRef(this.#inner, false);
    return this;
  }

  [Symbol.dispose ?? Symbol.for('nodejs.dispose')]() {
    this.close();
  }

  [PARTS]() {
    const inner = this.#inner;
    if (inner.closed) throw inner.isClosed();
    if (inner.unlinked) throw node.invalidHandle();
    return { kind: inner.kind, name: inner.name, fd: inner.native.fd };
  }
}

function described(kind, name) {
  return name === undefined ? `the ${kind} without a name` : `the ${kind} '${name}'`;
}

// An error of the native part as one of this package: it says which object it concerns.
function failed(what, error) {
  if (typeof error.code !== 'string' || !error.code.startsWith('ERR_RSIPC_')) return error;
  if (error.code === 'ERR_RSIPC_CLOSED') return rsipc.sharedClosed(what);
  if (error.code === 'ERR_RSIPC_DEADLOCK') return rsipc.deadlock(what);
  return rsipc.shared(error.code, what, error.message);
}

// What `call` answers; its failures are told of the object.
function attempt(inner, call) {
  try {
    return call();
  } catch (error) {
    throw failed(inner.what(), error);
  }
}

// Makes, opens or receives an object: `call` gets the native part and the number of this environment.
function summon(kind, name, call) {
  const native = environment.required('Shared memory');
  try {
    return call(native, environment.number());
  } catch (error) {
    throw failed(described(kind, name), error);
  }
}

function checkName(name, argument = 'name') {
  if (typeof name !== 'string') throw node.invalidType(argument, 'of type string', name);
}

// The options of an object to be made; `named` if it must have a name.
function checkOptions(options, named) {
  validate.object(options, 'options');
  if (named || options.name !== undefined) checkName(options.name, 'options.name');
}

// Gives the class of the objects of `kind` what makes them: `create`, `open`, `openOrCreate`, and of a descriptor.
// `nativeName` is the class of their native parts, which are made with `settingsOf(options)`. `optional`: options
// may be left out.
function madeBy(Kind, kind, nativeName, settingsOf, optional = false) {
  const make = (name, call) => new Kind(MAKE, summon(kind, name, (native, number) => call(native[nativeName], number)), name);
  const ways = {
    create(options = optional ? {} : undefined) {
      checkOptions(options, false);
      const settings = settingsOf(options);
      const { name } = options;
      return make(name, (native, number) => native.create(...settings, name, number));
    },
    open(name) {
      checkName(name);
      return make(name, (native, number) => native.open(name, number));
    },
    openOrCreate(options) {
      checkOptions(options, true);
      const settings = settingsOf(options);
      const { name } = options;
      return make(name, (native, number) => native.openOrCreate(...settings, name, number));
    },
    [ADOPT]: (fd) => make(undefined, (native, number) => native.adopt(fd, number)),
  };
  for (const way of Reflect.ownKeys(ways)) Object.defineProperty(Kind, way, { value: ways[way], writable: true, configurable: true });
}

module.exports = { MAKE, Shared, onlyWith, inner: (object) => innerOf(object), attempt, failed, madeBy };
