'use strict';
// `serve`: a listening endpoint and the connections it has accepted.

const EventEmitter = require('node:events');
const native = require('../binding.js');
const { node, rsipc } = require('../errors.js');
const validate = require('../validate.js');
const { create, linkOf } = require('./connection.js');
const { forServer, LIBUV, LONGEST_TIMER } = require('./settings.js');
const { mediumOf, settingsAt } = require('./media.js');
const { MESSAGE, BATCH } = require('./kinds.js');
const { believed, proxied } = require('./proxied.js');
const { OPEN } = require('./state.js');
const { resolved } = require('./resolve.js');
const { Outgoing, WARM_UP } = require('./batches.js');
const { send } = require('./slabs.js');

const EMPTY = Buffer.alloc(0);
const [NOTHING, TEXT, ENCODED] = [0, 1, 2];
const MANY = 8; // messages from which a batch is shorter than texts, with all that it says of keys
const ACCEPTED_IN_A_TURN = 64;
const GRACE = 100; // ms in which nobody has to give up the place for somebody else
const CHUNK = 64 * 1024; // characters

// Texts as frames that are as long as those of what is sent to one.
function runsOf(texts) {
  const runs = [];
  let run = '';
  for (const text of texts) {
    if (run.length + text.length > CHUNK && run !== '') {
      runs.push(Buffer.from(run));
      run = '';
    }
    run += text;
  }
  runs.push(Buffer.from(run));
  return runs;
}

class Server extends EventEmitter {
  #settings;
  #native = null;
  #text = []; // broadcast in this tick
  #batch = null; // the same, encoded; null while that does not pay
  #gathering = NOTHING; // where it is
  #cold = WARM_UP;
  #count = 0; // messages of this tick,
  #busy = false; // and whether there were many in the last one
  #closing = null;
  #referenced = true;

  constructor(endpoint, settings) {
    super();
    this.endpoint = endpoint;
    this.#settings = settings;
    this.connections = new Set(); // those that have said hello
    this.pending = new Set(); // and those that have not
    this.handlers = new Map();
    this.sessions = 0;
  }

  async listen() {
    const medium = mediumOf(this.endpoint);
    if (medium !== null) {
      this.#native = await medium.bind(this.endpoint, this.#settings, (error, connection = null) => this.emit('clientError', error, connection));
    } else {
      await resolved(this.endpoint, (endpoint) => {
        this.#native = proxied(native.Listener.bind(endpoint, this.#settings.listen), this.#settings, (error) => this.emit('clientError', error, null));
      });
    }
    this.#native.open(() => this.#accept(), () => this.#accept(), LIBUV);
    return this;
  }

  #accept() {
    let more = true;
    try {
      for (let count = 0; more && count < ACCEPTED_IN_A_TURN && this.#native !== null; count++) more = this.#acceptOne();
    } finally {
      // Who is taken from the kernel already makes no descriptor readable; a listener that throws is not that one's fault.
      if (more) setImmediate(() => this.#native !== null && this.#accept());
    }
  }

  // Whether there may be another one.
  #acceptOne() {
    let end;
    try {
      end = this.#native.accept(this.#settings.native);
    } catch (error) {
      this.emit('clientError', error, null);
      return true;
    }
    if (end !== null) {
      this.#welcome(end);
      return true;
    }
    const pause = this.#native.pause();
    if (pause > 0) this.#rest(pause);
    else if (!LIBUV) this.#native.resume(); // a thread that watches wants to be told
    return false;
  }

  // There are connections and no descriptor to take them with; the socket would say so without end.
  #rest(pause) {
    this.emit('clientError', rsipc.noDescriptors(this.endpoint), null);
    setTimeout(() => {
      if (this.#native === null) return;
      this.#native.resume();
      this.#accept();
    }, pause).unref();
  }

  #welcome(end) {
    if (this.connections.size + this.pending.size >= this.#settings.maxConnections && !this.#makesRoom()) {
      if (end.greets) end.hello(JSON.stringify({ refused: `it has ${this.#settings.maxConnections} connections already` }));
      end.close();
      return;
    }
    const connection = create(this.endpoint, this.#settings, this);
    const link = linkOf(connection);
    link.peer = end.told ?? end.peer ?? end.remote ?? null;
    this.pending.add(connection);
    if (!this.#referenced) link.referenced = false;
    const opened = () => {
      link.onGreeting = null;
      this.pending.delete(connection);
      this.connections.add(connection);
      link.opened();
      this.emit('connection', connection);
    };
    link.attach(end);
    link.hello();
    if (!end.greets) opened();
    else link.onGreeting = (said) => said !== null && opened();
  }

  // Who has connected and said nothing gives up the place, longest silent first: a crowd of those must not keep others out.
  #makesRoom() {
    const [silent] = this.pending;
    if (silent === undefined) return false;
    const link = linkOf(silent);
    const waited = Math.round(performance.now() - link.begun);
    if (waited < GRACE) return false;
    link.fail(rsipc.protocol('ERR_RSIPC_HELLO_TIMEOUT', `${link.who()} has not said hello within ${waited} ms, and others wait`));
    return true;
  }

  forget(connection) {
    this.connections.delete(connection);
    this.pending.delete(connection);
  }

  emitClientError(error, connection) {
    this.emit('clientError', error, connection);
  }

  // ---- to all ----

  // Encoded once. Returns how many connections it goes to.
  broadcast(message) {
    if (this.#gathering === NOTHING) {
      this.#gathering = this.#busy && this.#allReadBatches() ? ENCODED : TEXT;
      process.nextTick(() => this.cast());
    }
    if (this.#gathering === TEXT || !this.#encode(message)) this.#gather(message);
    this.#count++;
    return this.connections.size;
  }

  #gather(message) {
    const { codec } = this.#codec();
    const encoded = codec.encode(message, this.#settings.codec);
    if (this.#gathering === ENCODED) this.#castBatch();
    this.#gathering = TEXT;
    this.#text.push(encoded);
    if (this.#cold > 0) this.#cold -= encoded.length;
  }

  // Answers false for what is better sent as text.
  #encode(message) {
    this.#batch ??= new Outgoing();
    const batch = this.#batch;
    if (batch.resting > 0 || batch.encoder.resting > 0) {
      batch.whole(null); // counts
      return false;
    }
    if (!batch.add(message)) throw rsipc.notSerializable();
    // Code of the message's own has had this tick's handed over, with keys that the rest of it relies on.
    if (this.#batch !== batch) return false;
    this.#gathering = ENCODED;
    if (batch.encoder.size >= CHUNK) this.#castBatch();
    return true;
  }

  #allReadBatches() {
    if (this.#cold > 0) return false;
    for (const connection of this.connections) {
      const link = linkOf(connection);
      if (link.state === OPEN && !link.readsBatches) return false;
    }
    return true;
  }

  #codec() {
    return { codec: this.#settings.form ?? (this.#settings.framing === 'bytes' ? require('./bytes.js') : require('./text.js')) };
  }

  // Hands on what was broadcast: before something else is sent to one of them, and at the end of the tick.
  cast() {
    if (this.#gathering === NOTHING) return;
    this.#busy = this.#count >= MANY;
    this.#count = 0;
    if (this.#gathering === ENCODED) this.#castBatch();
    this.#gathering = NOTHING;
    const text = this.#text;
    if (text.length === 0) return;
    this.#text = [];
    this.#castAll(MESSAGE, this.#settings.framing === 'bytes' ? text : runsOf(text));
  }

  #castBatch() {
    const batch = this.#batch;
    if (batch === null || batch.encoder.count === 0) return;
    const frame = Buffer.from(batch.take(true));
    if (batch.encoder.busy) this.#batch = null;
    else batch.begin();
    this.#castAll(BATCH, [frame]);
  }

  #castAll(kind, frames) {
    for (const connection of this.connections) {
      const link = linkOf(connection);
      if (link.state !== OPEN) continue;
      for (const frame of frames) this.#castTo(link, kind, frame);
    }
  }

  #castTo(link, kind, frame) {
    const again = () => this.#castTo(link, kind, frame);
    if (link.refuses(frame.length, MESSAGE, again) !== null) return;
    link.part(link.kind);
    if (link.bytes > 0) link.codec.flush(link, false);
    link.answered(send(link, kind, EMPTY, frame));
    link.room();
  }

  // ---- requests ----

  handle(name, handler) {
    if (typeof name !== 'string') throw node.invalidType('name', 'of type string', name);
    if (handler === null) {
      this.handlers.delete(name);
      return this;
    }
    validate.callable(handler, 'handler');
    this.handlers.set(name, handler);
    return this;
  }

  // ---- what it is ----

  get listening() {
    return this.#native !== null;
  }

  // What became of datagrams that belong to no connection; null where there are none.
  get datagrams() {
    return this.#native?.counters ? { ...this.#native.counters } : null;
  }

  // The endpoint, with the port that the system has chosen; null when it listens no more.
  address() {
    return this.#native?.address ?? null;
  }

  ref() {
    this.#setRef(true);
    return this;
  }

  unref() {
    this.#setRef(false);
    return this;
  }

  #setRef(on) {
    this.#referenced = on;
    this.#native?.setRef(on);
    for (const connection of [...this.connections, ...this.pending]) linkOf(connection).setRef(on);
  }

  // Accepts nobody any more, answers what was asked, writes what was sent, and ends. What one of the connections was not
  // given is told by 'clientError', so that no client can have it reject.
  close(options = {}) {
    validate.object(options, 'options');
    if (options.timeout !== undefined) validate.number(options.timeout, 'options.timeout', 0, LONGEST_TIMER);
    if (this.#closing === null) {
      this.cast();
      this.#native?.close();
      this.#native = null;
      for (const connection of this.pending) connection.destroy(rsipc.serverClosed(this.endpoint));
      this.#closing = Promise.allSettled([...this.connections].map((connection) => connection.close(options))).then(() => {
        this.emit('close');
      });
    }
    return this.#closing;
  }

  [Symbol.asyncDispose]() {
    return this.close();
  }
}

// Resolves with a server that listens.
async function serve(endpoint, options = {}) {
  if (typeof endpoint !== 'string') throw node.invalidType('endpoint', 'of type string', endpoint);
  if (native.FedConnection === undefined) throw rsipc.notAvailable('serve()');
  const settings = settingsAt(endpoint, options, forServer, 'serve');
  settings.believed = believed(endpoint, options);
  return new Server(endpoint, settings).listen();
}

module.exports = { serve, Server };
