'use strict';
// `rsipc.Ring`: a queue of records.

const { node } = require('../errors.js');
const validate = require('../validate.js');
const environment = require('./environment.js');
const { MAKE, Shared, inner, attempt, madeBy } = require('./object.js');
const { RingProducer } = require('./producer.js');
const { RingConsumer } = require('./consumer.js');

const FLAVORS = ['spsc', 'mpsc', 'broadcast'];
const SLOW = ['wait', 'drop-oldest', 'disconnect'];
const MIN_CAPACITY = 4_096;
const MAX_CAPACITY = 2 ** 31;

function shape(options) {
  const { capacity, flavor = 'spsc', slowConsumer } = options;
  validate.integer(capacity, 'options.capacity', MIN_CAPACITY, MAX_CAPACITY);
  validate.oneOf(flavor, 'options.flavor', FLAVORS);
  if (slowConsumer !== undefined) {
    validate.oneOf(slowConsumer, 'options.slowConsumer', SLOW);
    if (flavor !== 'broadcast') throw node.invalidValue('options.slowConsumer', slowConsumer, `is for the flavor 'broadcast'`);
  }
  return { capacity: 2 ** Math.ceil(Math.log2(capacity)), flavor, slowConsumer: slowConsumer ?? 'wait' };
}

class Ring extends Shared {
  #ends = new Set();
  #flavor;
  #capacity;
  #maxRecord;

  constructor(key, native, name) {
    super(key, native, 'ring', name);
    this.#flavor = native.flavor;
    this.#capacity = native.capacity;
    this.#maxRecord = native.limit;
    inner(this).release = () => {
      for (const end of [...this.#ends]) end.close();
      native.close();
    };
  }

  static {
    madeBy(this, 'ring', 'SharedRing', (options) => [shape(options)]);
  }

  get flavor() {
    return this.#flavor;
  }

  get capacity() {
    return this.#capacity;
  }

  get maxRecord() {
    return this.#maxRecord;
  }

  producer() {
    return this.#end(RingProducer, (native) => native.producer(environment.number()));
  }

  consumer() {
    return this.#end(RingConsumer, (native) => native.consumer(environment.number()));
  }

  #end(End, take) {
    const mine = inner(this);
    if (mine.closed) throw mine.isClosed();
    const end = new End(MAKE, mine, attempt(mine, () => take(mine.native)), () => this.#ends.delete(end));
    this.#ends.add(end);
    return end;
  }
}

module.exports = { Ring };
