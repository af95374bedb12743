'use strict';
// The link to the other end of a channel: `send`, `disconnect`, `connected` and `channel` on the object
// the user holds (a ChildProcess, `process` or a ChannelEnd), over the native channel.
//
// Node gives each message a tick of its own, in wire order, and the end of the channel comes behind
// the messages that were read before it. Here one queue, the inbox, keeps that order.

const os = require('node:os');
const { FATAL, node, rsipc, systemError } = require('../errors.js');
const validate = require('../validate.js');
const { serialize, serializeWhole } = require('./serialization.js');
const { classify, prepare } = require('./handles.js');
const { SocketLists } = require('./socket-list.js');
const { LONGEST_TIMER, LIBUV, PAYLOADS } = require('./settings.js');
const { Inbox } = require('./inbox.js');
const { Pace } = require('./pace.js');
const { Peer } = require('./peer.js');
const { Receiver } = require('./receiver.js');
const backpressure = require('./backpressure.js');
const exit = require('./exit.js');
const { ChannelSlabs } = require('./slabs.js');
const upgrade = require('./upgrade.js');

// Bits of the native channel's `turn`.
const MESSAGES = 1;
const EVENTS = 2;
const WROTE = 4;
const PARTIAL = 8;
const WRITE_ERROR = 16;
const AGAIN = 32;
const BATCH = 64;
const RUNS = 8; // where the number of runs of messages begins

// Answers of the native channel's `send`.
const WRITTEN = 0;
const GATHERED = 1;
const BLOCKED = 2;

// Messages after which their sender is called back by way of the loop. Who sends on whenever it is called back would
// never let the loop turn otherwise, as long as the peer keeps up: what the peer says meanwhile would not be read, the
// offer of shared memory not answered.
const MESSAGES_A_TURN = 256;

// A message that no frame can hold.
const TOO_LARGE = -os.constants.errno.EMSGSIZE;

const AT_ONCE = 64 * 1024; // bytes beside a message that wait for no other

const READABLE = 1; // libuv's UV_READABLE
const SWALLOW = Object.freeze({ swallowErrors: true });

class Link {
  // `role`: which end this is, see roles.js.
  constructor(target, nativeChannel, settings, role) {
    this.target = target;
    this.role = role;
    this.native = nativeChannel;
    this.settings = settings;
    this.advanced = settings.serialization === 'advanced';
    this.open = true; // the descriptor
    this.started = false; // the event loop watches it
    this.staying = true; // it keeps the process alive
    this.lists = new SocketLists(target);
    this.peer = new Peer(this);
    this.control = null;
    this.transport = 'socket'; // how this end sends
    this.offered = false; // shared memory, to the peer; or its offer was refused
    this.offer = null; // the first half of what the peer offers
    this.outgoing = null; // messages for shared memory
    this.slabs = null; // where the large Buffers of such messages lie
    this.payload = settings.payload; // how they are received

    this.watched = false; // what travels is looked at: see upgrade.js
    this.messages = 0; // sent and received on the socket
    this.bytes = 0; // and their bytes, without those of messages with a handle
    this.asked = 0; // times the other end was asked whether it is rsipc
    this.asks = 0; // times it may be asked

    this.sentSize = 0; // bytes of the message sent last, or more
    this.bound = 0; // bytes that are queued, or more
    this.boundMessages = 0;
    this.callbacks = []; // { number, gate, callback } in order
    this.sinceTurn = 0; // messages sent since callbacks went by way of the loop
    this.turning = false; // they go by way of it now
    this.inTick = false; // something was written in this tick already
    this.gathered = 0; // messages that wait for the end of the tick
    this.blocked = false; // the kernel was full, or a handle holds the queue
    this.broken = 0; // the error number that ended writing
    this.unacknowledged = 0; // handles the peer has not answered for
    this.ownHandles = new Set(); // handles that are no user's, by number
    this.lastHandle = 0; // the newest such handle's number
    this.taken = 0; // the newest handle the peer has answered for
    this.held = 0; // sends since the first unanswered handle
    this.disconnecting = false; // disconnect() waits for handles
    this.lingering = false; // disconnected, and still writing what was accepted

    this.receiver = new Receiver(this);
    this.pace = new Pace(this);
    this.inbox = new Inbox(target, settings.maxEarlyBytes, (on) => this.pace.pause('early', on));
    this.finished = false; // the channel is over for the user
    this.stopped = false; // nothing more is taken from a peer that broke the protocol
    this.warned = new Set(); // codes of protocol errors that nobody listened for
    this.handleTimer = null;
    this.drainWaiters = [];
    this.needDrain = false;
    this.endOfTick = () => this.#endOfTick();
  }

  // ---- the event loop ----

  start() {
    if (this.started || !this.open) return;
    this.started = true;
    this.native.open((found) => this.#found(found), (events) => this.turn(events), LIBUV);
    if (!this.staying) this.native.setRef(false);
    exit.watch(this);
    this.onStarted?.();
  }

  setRef(on) {
    this.staying = on;
    if (this.open) this.native.setRef(on);
  }

  turn(events) {
    if (this.open) this.#found(this.native.turn(events));
  }

  // What the native channel did in the loop's turn: texts, if that is all, or bits of `answer`.
  #found(found) {
    if (!this.open) return;
    if (typeof found === 'string') {
      if (!this.lingering && !this.stopped) this.receiver.texts(found);
    } else {
      this.#answer(found);
    }
    if (this.watched && this.open) upgrade.consider(this);
  }

  #answer(found) {
    this.slabs?.turn();
    if (found & MESSAGES) {
      for (let runs = found >>> RUNS; runs > 0 && !this.lingering && !this.stopped; runs--) {
        this.receiver.messages(this.advanced ? this.native.takeBytes() : this.native.takeText());
      }
      if (this.lingering || this.stopped) this.native.discard();
    } else if (found & BATCH) {
      if (this.lingering || this.stopped) this.native.discard();
      else this.receiver.batch();
    } else if (found & EVENTS) {
      this.receiver.events(this.native.takeEvents());
      if (this.lingering || this.stopped) this.native.discard(); // batches that nobody fetches
    }
    if (!this.open) return;
    if (found & AGAIN) setImmediate(() => this.turn(READABLE));
    if (found & WRITE_ERROR) this.#writeFailed(this.native.writeError);
    else if (found & WROTE) this.#wrote();
    if ((found & PARTIAL) && !this.lingering) this.pace.watchPartial();
    if (this.pace.isPaused) this.pace.lookForRoom();
  }

  // Bytes that the descriptor's previous owner had read of an unfinished message.
  feed(bytes) {
    this.native.feed(bytes);
    this.turn(READABLE);
  }

  // Reads what the kernel still holds of a child that has exited, so that its messages come first.
  readToEnd() {
    if (this.open && !this.lingering) this.#answer(this.native.drain());
  }

  // A message on the socket.
  count(size) {
    this.messages++;
    this.bytes += size;
  }

  // ---- what the peer does ----

  // A reader with a pace of its own (an async iterator) asks for a pause, under a key of its own.
  hold(key, on) {
    this.pace.pause(key, on);
  }

  // A peer that asks and does not take the replies is not read.
  ignore(on) {
    this.pace.pause('replies', on);
  }

  // The peer has broken a protocol that others speak on this channel.
  breach(code, message) {
    this.protocolError(code, message, { last: true });
  }

  // A peer that breaks the protocol is told apart from one that ends: an event, then the policy. `last`: what
  // comes behind it cannot be read.
  protocolError(code, message, { ending = false, last = false } = {}) {
    const error = rsipc.protocol(code, `${this.who()}: ${message}`);
    const { onProtocolError } = this.settings;
    const policy = last && onProtocolError === 'drop' ? 'disconnect' : onProtocolError;
    if (!ending && policy !== 'drop') {
      this.stopped = true;
      this.pace.pause('stopped', true);
    }
    this.inbox.push(() => {
      try {
        if (this.target.listenerCount('protocolError') > 0) this.target.emit('protocolError', error);
        else this.#warn(error);
      } finally {
        if (this.stopped && !ending) {
          if (policy === 'kill') this.role.kill?.(this.target);
          this.ended();
        }
      }
    });
  }

  // Once of each kind: a peer whose broken messages are dropped may send any number of them.
  #warn(error) {
    if (this.warned.has(error.code)) return;
    this.warned.add(error.code);
    process.emitWarning(error);
  }

  // ---- the end ----

  ended() {
    if (!this.open || this.finished) return;
    const { target } = this;
    this.finished = true;
    this.disconnecting = false;
    target.connected = false;
    this.#detach();
    this.close();
    // Node counts the channel as closed first and says 'disconnect' in the next tick; what was read
    // later, such as the child's exit, comes behind it.
    this.inbox.pushFirst(() => target.emit('disconnect'));
    this.onClosed?.();
  }

  // What `connected` and `channel` show once the channel is gone for the user.
  #detach() {
    const { target } = this;
    target.channel = null;
    this.native.hideFromThreads();
    this.peer.ended();
    clearTimeout(this.handleTimer);
    this.pace.end();
  }

  disconnect() {
    const { target } = this;
    if (!target.connected) {
      target.emit('error', node.disconnected());
      return;
    }
    target.connected = false;
    this.native.hideFromThreads();
    this.#flush();
    if (this.unacknowledged > 0 && this.open) this.disconnecting = true;
    else target._disconnect();
  }

  // The channel is over for the user; what was accepted is still written.
  finishDisconnect() {
    if (this.finished) return;
    this.finished = true;
    const { target } = this;
    this.disconnecting = false;
    this.#flush();
    this.#detach();
    this.inbox.push(() => {
      this.#flush(); // receipts of messages that were told meanwhile, and of the one whose listener has ended this
      if (this.open && !this.broken && this.native.queuedBytes > 0) this.#linger();
      else this.close();
      target.emit('disconnect');
    });
  }

  // Writes on until all is out, or until the peer has taken nothing for `flushDeadline`: a peer that
  // hangs must not keep this process.
  #linger() {
    this.lingering = true;
    this.native.pause(false);
    this.native.setRef(true);
    let before = this.native.queuedBytes;
    const timer = setInterval(() => {
      const { bytes, messages } = this.queued();
      if (this.open && bytes < before) {
        before = bytes;
        return;
      }
      clearInterval(timer);
      if (!this.open) return;
      process.emitWarning(`${messages} messages (${bytes} bytes) to ${this.who()} were not delivered: it took nothing for ${this.settings.flushDeadline} ms after disconnect()`, 'RsipcWarning');
      this.close();
    }, Math.min(this.settings.flushDeadline, LONGEST_TIMER)).unref();
  }

  // The descriptor is somebody else's from here on: nothing is told, and nothing waits.
  giveAway() {
    this.finished = true;
    this.target.connected = false;
    this.#detach();
    this.close();
  }

  close() {
    if (!this.open) return;
    this.open = false;
    exit.forget(this);
    this.native.close();
    this.onShut?.();
    this.offer?.close();
    this.outgoing = null;
    const { callbacks } = this;
    this.callbacks = [];
    // Node reports null for whatever it had accepted, delivered or not.
    for (const { callback } of callbacks) process.nextTick(callback, null);
    backpressure.ended(this);
    if (this.blocked && this.control !== null) {
      this.blocked = false;
      this.control.unrefCounted();
    }
  }

  // ---- sending ----

  send(message, handle, options, callback) {
    if (message === undefined) throw node.missingMessage();
    const type = typeof message;
    if (type !== 'string' && type !== 'object' && type !== 'number' && type !== 'boolean') throw node.invalidMessage(message);
    if (!this.started) this.start();
    if (handle) return this.#sendHandle(message, handle, options, callback);

    let code;
    if (this.outgoing !== null && !this.broken) {
      // Whoever asks for the message's number needs a call.
      const later = this.inTick && typeof callback !== 'function' && !options.swallowErrors;
      code = this.outgoing.send(message, later, this.inTick);
      if (code === undefined) throw rsipc.notSerializable();
      this.sentSize = this.outgoing.size;
    } else if (this.advanced) {
      const value = serialize(message, this.slabs);
      const { slabs } = value;
      // What lies beside a message waits as little as what lies within.
      const gather = this.inTick && (slabs === null || slabs.beside < AT_ONCE);
      this.sentSize = Infinity;
      if (this.watched) this.count(value.payload.length + (value.pieces ?? []).reduce((sum, piece) => sum + piece.length, 0));
      code = this.broken || (value.pieces === null
        ? this.native.sendBytes(value.payload, gather)
        : this.native.sendPieces(value.payload, value.places, value.pieces, gather));
      if (code < 0) slabs?.undo();
    } else {
      const text = JSON.stringify(message);
      if (text === undefined) throw rsipc.notSerializable();
      this.sentSize = 3 * text.length + 1;
      if (this.watched) this.count(text.length);
      code = this.broken || this.native.send(text, text.length, this.inTick);
    }
    if (code < 0) return this.#sendFailed(code, options, callback);
    if (exit.exiting) exit.flushLate(this);
    return this.#sent(code, options, callback);
  }

  // So many handles were sent that are no user's: nothing waits for their answers.
  sentByItself(handles) {
    const { number } = this.native;
    for (let i = 0; i < handles; i++) this.ownHandles.add(number - i);
  }

  // From here on what is sent travels through shared memory.
  shared() {
    this.transport = 'ring';
    if (this.settings.spin !== undefined) this.native.spin(this.settings.spin);
    if (this.advanced) {
      if (this.peer.slabs) this.slabs = new ChannelSlabs(this);
      return;
    }
    if (this.peer.plain) return;
    const { Outgoing } = require('./encoded.js');
    this.outgoing = new Outgoing(this.native, () => {
      this.gathered++; // what lies on the stage
      this.#flush();
      return this.broken === 0;
    });
  }

  // Bookkeeping after the native channel took a message; the answer is `send`'s.
  #sent(code, options, callback) {
    if (!this.inTick) {
      this.inTick = true;
      process.nextTick(this.endOfTick);
    }
    if (code === GATHERED) {
      this.gathered++;
    } else {
      this.gathered = 0; // a write takes what was gathered along
      if (code === BLOCKED) this.#setBlocked();
    }
    this.sinceTurn++;
    const waits = this.unacknowledged > 0;
    if (typeof callback === 'function') {
      if (code === WRITTEN && !waits && this.callbacks.length === 0 && this.sinceTurn < MESSAGES_A_TURN) process.nextTick(callback, null);
      else this.callbacks.push({ number: this.native.number, gate: waits ? this.lastHandle : 0, callback });
    }
    // Behind an unanswered handle Node queues: it says true once and then false.
    if (waits) return ++this.held === 1;
    if (code === WRITTEN) {
      this.bound = 0;
      this.boundMessages = 0;
      return true;
    }
    return backpressure.below(this, this.sentSize);
  }

  #sendFailed(code, options, callback) {
    if (FATAL.has(code)) this.broken = code;
    if (!options.swallowErrors) {
      const error = code === TOO_LARGE ? rsipc.messageTooLarge() : systemError(code, 'write');
      if (typeof callback === 'function') process.nextTick(callback, error);
      else process.nextTick(() => this.target.emit('error', error));
    }
    return true;
  }

  #sendHandle(message, handle, options, callback) {
    const described = classify(handle);
    if (described.wrap === null) return this.send(message, undefined, options, callback);
    const { envelope, sent } = prepare(this, handle, described, options);
    envelope.msg = message;
    const payload = this.advanced ? serializeWhole(envelope) : JSON.stringify(envelope);
    this.#flush();
    const code = this.broken || this.native.sendHandle(payload, described.wrap.fd, described.type === 'net.Socket');
    if (code < 0) {
      return this.#sendFailed(code, options, callback);
    }
    sent();
    const waits = this.unacknowledged > 0;
    const gate = waits ? this.lastHandle : 0;
    this.unacknowledged++;
    this.lastHandle = this.native.number;
    if (code === BLOCKED) this.#setBlocked();
    this.#watchHandles();
    // Node's handle writes end in a later turn, and hold the channel until then.
    const { control } = this;
    control.refCounted();
    const done = (error) => {
      control.unrefCounted();
      if (typeof callback === 'function') callback(error);
    };
    if (code === WRITTEN && !waits && this.callbacks.length === 0) setImmediate(done, null);
    else this.callbacks.push({ number: this.native.number, gate, callback: done });
    if (exit.exiting) exit.flushLate(this);
    return waits ? ++this.held === 1 : backpressure.below(this, Infinity);
  }

  #setBlocked() {
    if (backpressure.above(this)) this.needDrain = true;
    if (this.pace.isPaused) this.pace.lookForRoom();
    if (this.blocked) return;
    this.blocked = true;
    this.control.refCounted();
  }

  #endOfTick() {
    this.inTick = false;
    if (this.gathered > 0) this.#flush();
    // What was gathered may have left along with a larger message: who waits for it learns it here.
    else if (this.open && (this.callbacks.length > 0 || this.needDrain)) this.#wrote();
    if (this.watched && this.open) upgrade.consider(this);
  }

  flush() {
    this.#flush();
  }

  #flush() {
    if (this.gathered === 0 || !this.open) return;
    const code = this.outgoing === null ? this.native.flush() : this.outgoing.flushNative();
    this.gathered = 0;
    if (code < 0) this.#writeFailed(code);
    else {
      if (code === BLOCKED) {
        this.#setBlocked();
      } else if (code === WRITTEN) {
        this.bound = 0;
        this.boundMessages = 0;
      }
      this.#wrote();
    }
  }

  // The kernel took more: callbacks whose message is out, and 'drain'.
  #wrote() {
    if (this.blocked && this.native.queuedBytes === 0) {
      this.blocked = false;
      this.control.unrefCounted();
    }
    if (this.sinceTurn < MESSAGES_A_TURN) this.#tellSender();
    else if (!this.turning && (this.callbacks.length > 0 || this.needDrain)) this.#tellInTurn();
    this.peer.repliesWritten();
    if (this.lingering && this.native.queuedBytes === 0) this.close();
  }

  #tellInTurn() {
    this.turning = true;
    setImmediate(() => {
      this.turning = false;
      this.sinceTurn = 0;
      if (this.open) this.#tellSender();
    });
  }

  #tellSender() {
    this.#callBack();
    if (this.needDrain && !backpressure.above(this)) {
      this.needDrain = false;
      backpressure.drained(this);
    }
  }

  #callBack() {
    const { callbacks } = this;
    if (callbacks.length === 0) return;
    const { written } = this.native;
    let done = 0;
    while (done < callbacks.length && callbacks[done].number <= written && callbacks[done].gate <= this.taken) done++;
    for (const { callback } of callbacks.splice(0, done)) process.nextTick(callback, null);
  }

  // Writing has ended. What was accepted before that is reported as Node reports it, delivered or not:
  // as done. The next send says that the channel is broken.
  #writeFailed(code) {
    this.broken = code > 0 ? -code : code;
    const { callbacks } = this;
    this.callbacks = [];
    for (const { callback } of callbacks) process.nextTick(callback, null);
    if (this.blocked) {
      this.blocked = false;
      this.control.unrefCounted();
    }
    backpressure.ended(this);
    if (this.lingering) this.close();
  }

  // ---- handles that were sent ----

  handleAnswered(event) {
    const own = this.ownHandles.delete(event.sequence);
    if (!own) this.unacknowledged = Math.max(0, this.unacknowledged - 1);
    this.taken = Math.max(this.taken, event.sequence);
    clearTimeout(this.handleTimer);
    this.handleTimer = null;
    if (this.unacknowledged === 0) this.held = 0;
    else this.#watchHandles();
    if (event.kind === 'lost' && !own) {
      process.emitWarning('Handle did not reach the receiving process correctly', 'SentHandleNotReceivedWarning');
    }
    this.#callBack();
    if (this.disconnecting && this.unacknowledged === 0) this.target._disconnect();
  }

  // A peer that never answers for a handle must be noticed.
  #watchHandles() {
    const { handleTimeout } = this.settings;
    if (this.handleTimer !== null || handleTimeout > LONGEST_TIMER) return;
    this.handleTimer = setTimeout(() => {
      this.handleTimer = null;
      this.target.emit('handleTimeout', { unacknowledged: this.unacknowledged, timeout: handleTimeout });
    }, handleTimeout).unref();
  }

  // ---- beyond Node ----

  who() {
    return this.role.who(this.target);
  }

  // From the next message on.
  receiveAs(payload) {
    validate.oneOf(payload, 'payload', PAYLOADS);
    this.payload = payload;
  }

  queued() {
    return this.open ? { bytes: this.native.queuedBytes, messages: this.native.queuedMessages } : { bytes: 0, messages: 0 };
  }

  ready(options) {
    return backpressure.ready(this, options);
  }

  flushSync(options = {}) {
    validate.object(options, 'options');
    const { deadline = this.settings.flushDeadline } = options;
    validate.number(deadline, 'options.deadline');
    if (!this.open) return { messages: 0, bytes: 0 };
    this.gathered = 0;
    const left = this.native.flushSync(Math.min(deadline, LONGEST_TIMER));
    this.#wrote();
    // It reads meanwhile and keeps what it reads; nothing else may come to make the descriptor readable.
    if (!exit.exiting) setImmediate(() => this.turn(READABLE));
    return left;
  }

  requirePeer(what) {
    if (!this.peer.known) throw rsipc.plainPeer(this.who(), what, 0);
  }

  // What the peer waits for, also after `disconnect()`, as long as what was read is being told.
  sendReply(message) {
    if (this.open && !this.lingering) this.send({ cmd: 'NODE_RSIPC', ...message }, undefined, SWALLOW);
  }

  // A message of rsipc's own, which a plain Node peer ignores.
  sendControl(message, handle) {
    if (this.target.connected && this.open) this.send({ cmd: 'NODE_RSIPC', ...message }, handle, SWALLOW);
  }
}

module.exports = { Link };
