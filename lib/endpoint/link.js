'use strict';
// What is behind a Connection: its native end, what waits to be written, what was read and not yet told.
//
// What is sent in one tick is joined and leaves with one call. What arrives in one turn of the loop comes as one text
// and is told message by message in that turn. When a listener throws, the rest of the turn's messages follow in the
// next one.

const EventEmitter = require('node:events');
const os = require('node:os');
const { rsipc, systemError } = require('../errors.js');
const { LIBUV, LONGEST_TIMER } = require('./settings.js');
const { RUN, EVENTS, WROTE, PARTIAL, ERROR, CONNECTED, LARGE, KIND, MESSAGE, PING, BYE, BESIDE, BATCH } = require('./kinds.js');
const { CONNECTING, OPEN, CLOSING, CLOSED } = require('./state.js');
const batches = require('./batches.js');
const { Requests } = require('./requests.js');
const { rejected } = require('./rejected.js');
const { outside } = require('./outside.js');
const sweeper = require('./sweep.js');

const CHUNK = 64 * 1024; // so much leaves before its tick has ended
const LONGEST_REASON = 200; // characters of what a peer says that it goes for
const ACCEPTED = Promise.resolve(); // what `send` answers while there is room
const PAUSED = 5; // ms
const EMPTY = Buffer.alloc(0);
const FAREWELL = 6; // bytes
const { EPIPE } = os.constants.errno;

const nothing = () => {};

// With `captureRejections` it is `emit` that looks at what a listener returns.
const DIRECT = !EventEmitter.captureRejections;

let handlesModule; // of connections that can pass them

const discard = (event) => event.fds && handlesModule.discard(event);

const dropAll = (backlog) => {
  for (const { drop } of backlog) drop?.();
};

function endOfTick(link) {
  link.scheduled = false;
  link.write();
}

class Link {
  constructor(user, settings, codec, server) {
    this.user = user;
    this.settings = settings;
    this.codec = codec;
    this.server = server;
    this.native = null;
    this.state = CONNECTING;
    this.greeted = false; // the peer has said hello
    this.begun = 0; // when this end began to wait for that
    this.peer = null;
    this.counters = null; // of datagrams
    this.remote = null; // what the peer has said of itself

    this.kind = MESSAGE; // of what is gathered
    this.text = ''; // gathered in this tick
    this.bytes = 0; // of frames that are gathered in the codec's own memory
    this.cold = 0; // so many characters are sent as JSON before the peer gets batches; 0: it does, or never will
    this.outgoing = null; // the batch that is gathered
    this.incoming = null; // what is known of those of the peer
    this.parts = null; // what waits for a connection
    this.waiting = null; // what a slow peer has not been sent, where the oldest may be dropped
    this.scheduled = false;
    this.held = 0; // messages with handles that the end of the tick writes
    this.queued = 0; // bytes that the kernel has not taken
    this.full = false; // nothing more is answered until the peer takes the answers
    this.drain = null; // { promise, resolve, reject } for who waits for room
    this.looking = false; // whether there is room, where nobody tells
    this.breather = null; // for who sends and sends in one turn
    this.onEmpty = null; // for who waits until the kernel has everything
    this.dropped = 0;

    this.early = null; // messages before anybody listened
    this.earlyBytes = 0;
    this.readers = null; // async iterators
    this.pauses = null; // why it is not read
    this.backlog = null; // what is left of a turn in which a listener threw, or waits for a server to listen
    this.waits = 0; // how many there are of the latter
    this.requests = null;
    this.untaken = 0; // handles that the peer has not answered for
    this.failure = null; // why it ends
    this.shares = false; // both ends share memory
    this.slabs = null; // what lies there; made with the first large message
    this.referenced = true;
    this.quiet = 0; // ms without a sign of life
    this.onEnd = null; // for a client that connects again
    this.retry = null; // the timer until it does
    this.onGreeting = null;
    this.closed = null; // for who waits for the end
    this.leaving = false; // nothing more is taken, and it ends when what was has been written
    this.deadline = null; // the timer for that
    this.farewelled = false; // it has said farewell
    this.farewell = false; // the peer has
    this.ending = false; // it writes no more, which tells those who know no farewell
  }

  // ---- the native end ----

  attach(native) {
    this.native = native;
    this.queued = 0;
    this.counters = native.counters ?? null;
    this.greeted = !native.greets;
    if (native.passesHandles) handlesModule ??= require('./handles.js'); // when one comes there may be no descriptor to load that with
    native.open((found) => this.#found(found), (events) => this.#found(native.turn(events)), LIBUV);
    if (!this.referenced) native.setRef(false);
    if (this.pauses !== null) native.pause(true);
    if (!this.greeted) this.begun = performance.now();
    if (!this.greeted || this.settings.heartbeat > 0) sweeper.sweep(this);
  }

  #found(found) {
    if (this.state === CLOSED) return;
    if (this.slabs === null) {
      this.#take(found);
    } else {
      this.#whileFetching(() => this.#take(found));
    }
  }

  // What is fetched from memory in one turn is bounded, and the peer is told of it in the end.
  #whileFetching(action) {
    const { slabs } = this;
    slabs?.turn();
    try {
      action();
    } finally {
      this.slabs?.tell(1);
    }
  }

  #take(found) {
    if (typeof found === 'string') {
      if (this.backlog === null) this.codec.receive(this, MESSAGE, found);
      else this.later(MESSAGE, found);
      return;
    }
    const { native } = this;
    if (found & CONNECTED) this.onGreeting?.(null);
    try {
      if (found & (RUN | LARGE)) {
        const kind = found >>> KIND;
        this.#receive(kind, this.codec.text && kind < BESIDE ? native.takeText() : native.takeBytes(), (found & LARGE) !== 0);
      } else if (found & EVENTS) {
        this.#tell(native.takeEvents());
      }
    } finally {
      if (this.native === native) this.#notice(found);
    }
  }

  // What a turn has found besides what has arrived.
  #notice(found) {
    if (found & PARTIAL) sweeper.sweep(this); // or the kernel takes no descriptors
    if (found & ERROR) this.#broken(systemError(-this.native.error, this.greeted ? 'write' : 'connect'));
    else if (found & WROTE) this.wrote();
  }

  // Nothing can be written any more. What the peer has sent before is told first, though nobody takes the answers.
  #broken(error) {
    if (this.full) {
      this.full = false;
      setImmediate(() => this.#catchUp());
    }
    this.#then(() => this.lost(error));
  }

  // Tells what has arrived, in order. What a listener throws is thrown, and the rest follows in the next turn.
  #tell(events) {
    const { native } = this;
    let next = 0;
    try {
      while (next < events.length && this.native === native) this.#event(events[next++]);
    } finally {
      for (const event of events.slice(next)) {
        if (this.native === native) this.keepBack(() => this.#event(event), event);
        else discard(event);
      }
    }
  }

  #receive(kind, payload, large) {
    if (this.backlog === null) this.codec.receive(this, kind, payload, large);
    else this.later(kind, payload, large);
  }

  #event(event) {
    switch (event.kind) {
      case 'run':
      case 'large':
        this.#receive(event.frame, event.text ?? event.bytes, event.kind === 'large');
        break;
      case 'hello':
        this.#hello(event.text);
        break;
      case 'handles':
        this.#then(() => handlesModule.receive(this, event), event);
        break;
      case 'problem':
        this.#then(() => this.fail(rsipc.protocol(event.code, `${this.who()}: ${event.message}`)));
        break;
      case 'bye':
        this.#then(() => this.#bye(event.text));
        break;
      case 'ended': {
        const { truncated } = event;
        this.#then(() => {
          if (truncated > 0) this.fail(rsipc.protocol('ERR_RSIPC_TRUNCATED', `${this.who()}: the connection ended ${truncated} bytes into a message`));
          else if (this.native.greets) this.lost(rsipc.peerGone(this.who(), 'The connection'));
          else if (this.onEnd !== null && this.state !== CLOSING) this.lost(null);
          else this.#bye(''); // others say no farewell, and may read on
        });
        break;
      }
    }
  }

  // Now, or behind what is left of an earlier turn.
  #then(action, event) {
    if (this.backlog === null) action();
    else this.keepBack(action, event);
  }

  // In another turn, behind what is left already. Of an event that nobody will be told, descriptors are closed.
  keepBack(action, event) {
    if (this.backlog === null) {
      this.backlog = [];
      setImmediate(() => this.#catchUp());
    }
    this.backlog.push({ action, drop: event?.fds && (() => discard(event)) });
  }

  // Keeps what a turn had left when a listener threw.
  later(kind, payload, large) {
    if (this.state !== CLOSED) this.keepBack(() => this.codec.receive(this, kind, payload, large));
  }

  #catchUp() {
    const { backlog, native } = this;
    if (backlog === null || this.waits > 0 || this.full) return;
    this.backlog = null;
    try {
      this.#whileFetching(() => {
        while (backlog.length > 0 && this.backlog === null && !this.full && this.native === native) backlog.shift().action();
      });
    } finally {
      if (this.native !== native) {
        dropAll(backlog);
      } else if (backlog.length > 0) {
        // Something new has begun to wait: it comes first.
        if (this.backlog === null) {
          this.backlog = backlog;
          setImmediate(() => this.#catchUp());
        } else {
          for (const entry of backlog) this.backlog.push(entry);
        }
      }
    }
  }

  // ---- hello ----

  hello(more) {
    const { codec, maxSharedBytes } = this.settings;
    this.shares = maxSharedBytes > 0 && this.native.sharesMemory === true;
    if (this.native.greets) this.answered(this.native.hello(JSON.stringify({ codec, pid: process.pid, slabs: this.shares ? 1 : undefined, batches: this.#batches, ...more })));
  }

  get readsBatches() {
    return this.#batches === 1 && this.remote.batches === 1;
  }

  // 1 if this end reads batches.
  get #batches() {
    return this.settings.codec === 'json' ? 1 : undefined;
  }

  #hello(text) {
    let said;
    try {
      said = JSON.parse(text);
    } catch {
      said = null;
    }
    if (said === null || typeof said !== 'object' || (said.session !== undefined && typeof said.session !== 'string')) {
      this.fail(rsipc.protocol('ERR_RSIPC_NOT_RSIPC', `${this.who()}: its hello cannot be read`));
    } else if (typeof said.refused === 'string') {
      this.fail(rsipc.refused(this.who(), said.refused));
    } else if (said.codec !== this.settings.codec) {
      this.fail(rsipc.otherCodec(this.who(), this.settings.codec, typeof said.codec === 'string' ? said.codec : 'none'));
    } else {
      this.greeted = true;
      this.remote = said;
      this.shares &&= said.slabs === 1;
      this.cold = this.readsBatches ? batches.WARM_UP : 0;
      this.onGreeting?.(said);
    }
  }

  opened() {
    this.state = OPEN;
    const { parts } = this;
    if (parts !== null) {
      this.parts = null;
      this.queued = 0;
      for (const part of parts) part();
    }
    this.requests?.resend();
    this.write();
    if (this.drain !== null) this.wrote();
    if (this.leaving) this.close();
  }

  // Its requests; made when there is the first.
  rpc() {
    this.requests ??= new Requests(this);
    return this.requests;
  }

  // Where large messages lie beside this connection; null where its ends share no memory.
  memory() {
    if (this.slabs === null && this.shares) {
      const { ConnectionSlabs } = require('./slabs.js');
      this.slabs = new ConnectionSlabs(this);
    }
    return this.slabs;
  }

  // As the slabs of any link see it: whether there is a native end, and what its Buffers arrive as.
  get open() {
    return this.native !== null;
  }

  get payload() {
    return this.settings.payload;
  }

  who() {
    const pid = this.peer?.pid ?? this.remote?.pid;
    return `${this.server === null ? 'the server' : 'the client'}${this.user.endpoint ? ` at ${this.user.endpoint}` : ''}${Number.isInteger(pid) ? ` (pid ${pid})` : ''}`;
  }

  // ---- sending ----

  // Takes one line of text, to be sent at the end of the tick.
  put(kind, text) {
    if (this.state !== OPEN || this.queued > this.settings.highWaterMark || this.waiting !== null) return this.#putSlowly(kind, text);
    if (this.server !== null) this.server.cast();
    if (kind !== this.kind || (text.length > CHUNK && this.text !== '')) this.part(kind);
    this.text += text;
    this.text += '\n';
    if (!this.scheduled) {
      this.scheduled = true;
      process.nextTick(endOfTick, this);
    }
    if (this.text.length < CHUNK) return ACCEPTED;
    if (this.shares) this.memory().prepare();
    this.write();
    return this.room();
  }

  #putSlowly(kind, text) {
    const { settings } = this;
    if (this.state === CLOSING && kind !== MESSAGE) {
      this.part(kind);
      this.text += `${text}\n`;
      this.schedule();
      return this.room();
    }
    const refused = this.refuses(text.length, kind, () => this.put(kind, text));
    if (refused !== null) return refused;
    if (this.state === CONNECTING) {
      this.parts ??= [];
      this.queued += text.length;
      this.parts.push(() => this.put(kind, text));
      return this.room();
    }
    if (kind !== this.kind) this.part(kind);
    this.text += `${text}\n`;
    this.queued += text.length; // the next answer of the native end says it exactly
    this.schedule();
    return settings.slowPeer === 'wait' ? this.room() : ACCEPTED;
  }

  // Why a message cannot be taken, as a promise, or null. `again` sends it later, where older ones may be dropped.
  refuses(size, kind, again) {
    const { settings } = this;
    if (this.state >= CLOSING || (this.leaving && this.native === null)) return rejected(rsipc.connectionClosed(this.who()));
    const own = kind === MESSAGE;
    if (this.queued <= settings.highWaterMark && (this.waiting === null || !own)) return null;
    if (own && settings.slowPeer === 'error') return rejected(rsipc.outboxFull(this.who(), this.queued));
    if (own && settings.slowPeer === 'drop-oldest') return this.#keepNewest(size, again);
    if (own ? settings.slowPeer === 'close' : this.queued + size > settings.maxOutbox && this.server !== null) {
      const error = rsipc.outboxFull(this.who(), this.queued);
      this.fail(error);
      return rejected(error);
    }
    if (this.queued + size > settings.maxOutbox) return rejected(rsipc.outboxFull(this.who(), this.queued));
    return null;
  }

  #keepNewest(size, again) {
    this.waiting ??= { entries: [], bytes: 0 };
    const { waiting } = this;
    waiting.entries.push({ size, again });
    waiting.bytes += size;
    while (waiting.bytes > this.settings.highWaterMark && waiting.entries.length > 1) {
      waiting.bytes -= waiting.entries.shift().size;
      this.dropped++;
    }
    return ACCEPTED;
  }

  // The end comes: what waits to be sent instead of older ones has been accepted, and there is not much of it.
  #sendWaiting() {
    while (this.waiting !== null) {
      const { entries } = this.waiting;
      this.waiting = null;
      for (const { again } of entries) {
        this.queued = 0;
        again();
      }
    }
  }

  schedule() {
    if (!this.scheduled) {
      this.scheduled = true;
      process.nextTick(endOfTick, this);
    }
  }

  // What comes next is of another kind: hands over what was gathered, to be written with it.
  part(kind) {
    if (this.text !== '') {
      const { text } = this;
      this.text = '';
      this.answered(this.native.send(this.kind, text, text.length, false));
    } else if (this.kind === BATCH) {
      batches.flush(this, false);
    }
    this.kind = kind;
  }

  // Writes what was gathered.
  write() {
    if (this.state === CLOSED || this.state === CONNECTING) return;
    if (this.held > 0) {
      handlesModule.written(this);
      if (this.text === '' && this.bytes === 0) this.answered(this.native.flush());
    }
    if (this.text !== '') {
      const { text } = this;
      this.text = '';
      this.answered(this.native.send(this.kind, text, text.length, true));
    } else if (this.bytes > 0) {
      this.codec.flush(this, true);
    } else if (this.kind === BATCH) {
      batches.flush(this, true);
    }
  }

  // What the native end has answered: bytes that wait, or an error.
  answered(queued) {
    if (queued >= 0) {
      this.queued = queued;
      // Written by a later call before the loop could: it will not tell.
      if ((this.drain !== null && queued <= this.settings.highWaterMark / 2) || (this.onEmpty !== null && queued === 0)) setImmediate(() => this.native !== null && this.wrote());
    } else if (this.state !== CLOSED) {
      // What the peer has sent before it went is read first; its end is told by the loop.
      this.queued = 0;
      if (queued !== -EPIPE) this.failure ??= systemError(queued, 'write');
      setImmediate(() => {
        if (this.state !== CLOSED && this.native !== null) this.#found(this.native.turn(5));
        if (this.state === CLOSING && this.farewell) this.lost(null); // its end was told before
      });
    }
  }

  // Resolves when there is room for more: at once, in the next turn for who sends and sends in this one, or when the
  // peer has taken enough.
  room() {
    if (this.queued > this.settings.highWaterMark) {
      if (this.drain === null) {
        this.drain = {};
        this.drain.promise = new Promise((resolve, reject) => {
          this.drain.resolve = resolve;
          this.drain.reject = reject;
        });
        this.drain.promise.catch(nothing);
        this.#lookWhilePaused();
      }
      // A server does not read on from a client that does not take its answers. The client always reads, and so does
      // who waits for memory to be taken: the news of that is read.
      if (this.server !== null && !this.full && (this.slabs === null || this.native.unwritten > this.settings.highWaterMark)) {
        this.full = true;
        this.pause('outbox', true);
      }
      return this.drain.promise;
    }
    this.breather ??= new Promise((resolve) => setImmediate(() => {
      this.breather = null;
      resolve();
    }));
    return this.breather;
  }

  // Who reads nothing does not read that memory was taken either: it looks itself.
  #lookWhilePaused() {
    if (this.slabs === null || this.pauses === null || this.looking) return;
    this.looking = true;
    setTimeout(() => {
      this.looking = false;
      if (this.drain === null || this.native === null) return;
      if (this.native.queued <= this.settings.highWaterMark / 2) this.wrote();
      else this.#lookWhilePaused();
    }, PAUSED);
  }

  wrote() {
    this.queued = this.native.queued;
    if (this.queued === 0) this.onEmpty?.();
    if (this.queued > this.settings.highWaterMark / 2) return;
    if (this.waiting !== null) {
      const { entries } = this.waiting;
      this.waiting = null;
      for (const { again } of entries) again();
      this.write();
    }
    const { drain } = this;
    const relieved = drain !== null && this.queued <= this.settings.highWaterMark / 2;
    if (relieved) {
      this.drain = null;
      if (this.full) {
        this.full = false;
        this.pause('outbox', false);
        setImmediate(() => this.#catchUp());
      }
    }
    if (this.state === CLOSING && this.queued === 0) this.#closeWritten(); // reading on
    if (relieved) {
      drain.resolve();
      this.user.emit('drain');
    }
  }

  // ---- receiving ----

  // Tells one message, now. What a listener throws is thrown.
  deliver(message, size) {
    const { user } = this;
    // The one listener there usually is gets called as `emit` would call it, a tenth of a message's cost cheaper.
    const listener = this.early === null && this.readers === null ? user._events?.message : undefined;
    if (this.state === CLOSED) return;
    if (typeof listener === 'function' && DIRECT) {
      listener.call(user, message);
      return;
    }
    if (this.early === null) {
      if (this.readers !== null) for (const reader of this.readers) reader.push(message, size);
      if (user.emit('message', message) || this.readers !== null) return;
    }
    this.keep([message], size);
  }

  // Messages that nobody listens for yet.
  keep(args, size) {
    this.early ??= [];
    if (this.earlyBytes + size > this.settings.maxEarlyBytes && this.early.length > 0) {
      args[2]?.(false);
      if (this.user.unheard++ === 0) process.emitWarning(rsipc.unheardWarning(this.who()), { type: 'RsipcWarning', code: 'RSIPC_UNHEARD' });
      return;
    }
    this.earlyBytes += size + 64;
    this.early.push(args);
  }

  // Somebody listens now.
  listens() {
    if (this.early === null) return;
    process.nextTick(() => this.#giveEarly());
  }

  #giveEarly() {
    const { early, user } = this;
    if (early === null) return;
    // A listener may have been for one message, or have destroyed the connection.
    const goesOn = () => this.early === early && (this.readers !== null || user.listenerCount('message') > 0);
    try {
      while (early.length > 0 && goesOn()) {
        const [message, handles, done] = early.shift();
        if (done === undefined) {
          if (this.readers !== null) for (const reader of this.readers) reader.push(message, 0);
          user.emit('message', message);
        } else {
          this.#give(message, handles, done);
        }
      }
    } finally {
      if (early.length === 0 && this.early === early) {
        this.early = null;
        this.earlyBytes = 0;
      } else if (goesOn()) {
        setImmediate(() => this.#giveEarly());
      }
    }
  }

  // The same with handles: `done(taken)` is called when a listener has had them, or nobody ever will.
  deliverWith(message, handles, size, done) {
    if (this.early === null && (this.user.listenerCount('message') > 0 || this.readers !== null)) this.#give(message, handles, done);
    else this.keep([message, handles, done], size);
  }

  #give(message, handles, done) {
    const heard = this.user.listenerCount('message') > 0; // a reader has no use for handles
    done(heard); // before the listener, which may throw
    if (heard) this.user.emit('message', message, handles);
  }

  // What arrives waits, until the function that this answers is called with what is to be done first, or `drop` when that
  // cannot be done any more.
  wait() {
    this.backlog ??= [];
    const { backlog } = this;
    this.waits++;
    return (action, drop) => {
      if (this.backlog !== backlog) { // the connection is gone
        drop();
        return;
      }
      this.waits--;
      backlog.unshift({ action, drop });
      setImmediate(() => this.#catchUp());
    };
  }

  tooLarge(size) {
    this.fail(rsipc.protocol('ERR_RSIPC_MESSAGE_TOO_LARGE', `${this.who()}: a message of ${size} bytes or more is larger than the limit of ${this.settings.maxMessageSize}`));
  }

  malformed(size) {
    this.fail(rsipc.protocol('ERR_RSIPC_MALFORMED_FRAME', `${this.who()}: a message of ${size} characters or bytes is not what codec '${this.settings.codec}' writes`));
  }

  pause(reason, on) {
    this.pauses ??= new Set();
    const before = this.pauses.size > 0;
    if (on) this.pauses.add(reason);
    else this.pauses.delete(reason);
    const now = this.pauses.size > 0;
    if (!now) this.pauses = null;
    if (before !== now && this.native !== null && this.state !== CLOSED) this.native.pause(now);
    if (now && this.drain !== null) this.#lookWhilePaused();
  }

  setRef(on) {
    this.referenced = on;
    this.retry?.[on ? 'ref' : 'unref']();
    if (this.native !== null && this.state !== CLOSED) this.native.setRef(on);
  }

  // ---- time ----

  sweep(now, late) {
    if (this.state === CLOSED || this.native === null) return false;
    this.begun += late;
    const { helloTimeout, frameTimeout, heartbeat } = this.settings;
    if (!this.greeted) {
      if (now - this.begun < helloTimeout) return true;
      this.fail(rsipc.protocol('ERR_RSIPC_HELLO_TIMEOUT', `${this.who()} has not said hello within ${helloTimeout} ms`));
      return false;
    }
    const age = this.pauses === null ? this.native.partialAge() : -1;
    if (age > frameTimeout + late) {
      this.fail(rsipc.protocol('ERR_RSIPC_FRAME_TIMEOUT', `${this.who()}: a message was not completed within ${frameTimeout} ms`));
      return false;
    }
    if (heartbeat > 0) this.#beat(heartbeat);
    const { refused } = this.native ?? {};
    if (refused === true) this.answered(this.native.flush());
    return refused === true || age >= 0 || heartbeat > 0 || this.pauses !== null;
  }

  #beat(heartbeat) {
    if (this.native.heard() || this.pauses !== null) this.quiet = 0;
    else this.quiet += 250;
    if (this.quiet >= 2 * heartbeat) {
      this.lost(rsipc.timeout(`A heartbeat of ${this.who()}`, 2 * heartbeat));
    } else if (this.quiet >= heartbeat && this.quiet - 250 < heartbeat && this.native.greets) {
      this.answered(this.native.sendBytes(PING, EMPTY, EMPTY, true));
    }
  }

  // ---- the end ----

  #bye(reason) {
    this.failure ??= reason === '' ? null : rsipc.peerGone(this.who(), `The connection (${reason.slice(0, LONGEST_REASON)})`);
    this.farewell = true;
    if (this.state === CLOSING) {
      // It reads on until we have said farewell too.
      if (this.farewelled && this.queued === 0) this.lost(null);
    } else if (this.onEnd !== null) this.lost(rsipc.peerGone(this.who(), 'The connection'));
    else this.#end(this.settings.closeTimeout);
  }

  // Ends in order: what was accepted is written, and answers to what was asked are given, for so many ms. Rejects when
  // the peer was not given everything.
  close(timeout) {
    if (this.closed === null) {
      this.closed = {};
      this.closed.promise = new Promise((resolve, reject) => {
        this.closed.resolve = resolve;
        this.closed.reject = reject;
      });
      this.closed.promise.catch(nothing); // it need not be awaited
    }
    if (this.state === CLOSED) this.closed.resolve();
    else this.#end(timeout ?? this.settings.closeTimeout);
    return this.closed.promise;
  }

  #end(timeout) {
    if (this.state === CONNECTING && this.parts === null) {
      this.finish(null);
    } else if (this.state < CLOSING) {
      const late = () => this.#giveUp(`it has not read them within ${timeout} ms`, this.failure);
      this.deadline ??= setTimeout(late, Math.min(timeout, LONGEST_TIMER));
      this.leaving = true;
      if (this.state === CONNECTING) return; // what was kept is written when there is a connection
      this.#sendWaiting();
      this.write();
      this.state = CLOSING;
      if (this.requests === null || !this.requests.busy) this.drained();
    }
  }

  // Ends with what was accepted and not written given up, which is told.
  #giveUp(why, reason) {
    const unsent = this.#unsent();
    if (unsent > 0) {
      this.failure = rsipc.unsent(this.who(), unsent, why);
      this.#tellServer(this.failure);
      this.finish(this.failure);
    } else {
      this.finish(reason);
    }
  }

  // Bytes of messages that nobody has written.
  #unsent() {
    const { native } = this;
    const waits = native === null ? this.queued : native.unwritten ?? native.queued;
    const farewell = this.farewelled && native?.greets ? FAREWELL : 0;
    return Math.max(waits - farewell, 0) + this.text.length + this.bytes + (this.waiting?.bytes ?? 0);
  }

  // Nothing is to be answered any more.
  drained() {
    if (this.state !== CLOSING || this.farewelled) return;
    this.write();
    this.farewelled = true;
    if (this.native.greets && this.greeted) this.answered(this.native.sendBytes(BYE, EMPTY, EMPTY, true));
    if (this.state === CLOSING && this.queued === 0) this.#closeWritten();
  }

  #closeWritten() {
    // The peer closes when it has read our farewell, or the end where there are none: closing first could cost what it
    // has not read yet.
    if (!this.farewelled) return;
    if (this.farewell) this.finish(this.failure);
    if (this.state !== CLOSING || this.native.greets || this.ending) return;
    this.ending = true;
    // Who does not read does not see the peer go.
    if (this.pauses !== null || !this.native.end?.()) this.finish(null);
  }

  // The peer has broken the rules, or we cannot go on with it.
  fail(error) {
    if (this.state === CLOSED) return;
    this.failure = error;
    this.#tellServer(error);
    this.lost(error);
  }

  // What a listener throws must not keep those waiting that come behind: the others of a broadcast, of a sweep.
  #tellServer(error) {
    if (this.server !== null) outside(() => this.server.emitClientError(error, this.user));
  }

  // The native end is of no use any more.
  lost(error) {
    if (this.state === CLOSED) return;
    if (this.state === CLOSING && this.native !== null) {
      if (error === null || error !== this.failure) {
        this.#giveUp('it has gone', this.failure);
        return;
      }
      if (this.#unsent() > 0) this.closed?.reject(error);
    }
    const reason = this.failure ?? error;
    if (this.onEnd !== null && this.state !== CLOSING) {
      this.#dropNative();
      this.state = CONNECTING;
      this.failure = null;
      this.requests?.interrupted();
      this.onEnd(reason);
    } else {
      this.finish(reason);
    }
  }

  #dropNative() {
    sweeper.forget(this);
    this.native?.close();
    this.native = null;
    this.shares = false;
    this.slabs = null;
    this.kind = MESSAGE;
    this.cold = 0;
    this.outgoing = null;
    this.incoming = null;
    this.text = '';
    this.bytes = 0;
    this.queued = 0;
    const { backlog } = this;
    this.backlog = null;
    this.waits = 0;
    if (this.held > 0) handlesModule.written(this);
    this.full = false;
    this.quiet = 0;
    this.farewell = false;
    dropAll(backlog ?? []);
  }

  finish(error) {
    if (this.state === CLOSED) return;
    this.state = CLOSED;
    this.failure = error;
    clearTimeout(this.deadline);
    clearTimeout(this.retry);
    this.#dropNative();
    this.#keepEarly();
    const kept = this.leaving && this.parts !== null;
    this.parts = null;
    this.waiting = null;
    const gone = error ?? rsipc.connectionClosed(this.who());
    this.drain?.reject(gone);
    this.requests?.ended(gone);
    this.onGreeting?.(null, gone);
    this.server?.forget(this.user);
    if (this.readers !== null) for (const reader of this.readers) reader.end(error);
    if (error !== null && (kept || error.unsent > 0)) this.closed?.reject(error);
    else this.closed?.resolve();
    const { user } = this;
    const tell = () => {
      try {
        if (error !== null && user.listenerCount('error') > 0) user.emit('error', error);
      } finally {
        user.emit('close', error ?? undefined);
      }
    };
    // Who was promised a connection, and has it only after this turn, hears its end as well, behind what came before.
    if (this.early === null && user.listenerCount('close') > 0) process.nextTick(tell);
    else setImmediate(tell);
  }

  // What has come stays for who listens later. Handles do not: nobody could be told what became of them.
  #keepEarly() {
    const { early } = this;
    if (early === null) return;
    let kept = 0;
    for (const args of early) {
      if (args[2] === undefined) early[kept++] = args;
      else args[2](false);
    }
    early.length = kept;
    if (kept === 0) this.early = null;
  }

  // The same, for a reader that comes when it is over.
  takeEarly() {
    const early = this.early ?? [];
    this.early = null;
    return early.map(([message]) => message);
  }
}

module.exports = { Link };
