'use strict';
// The link to the other end of a channel: `send`, `disconnect`, `connected` and `channel` on the object
// the user holds (a ChildProcess, `process` or a ChannelEnd), over the native channel.
//
// Node gives each message a tick of its own, in wire order, and the end of the channel comes behind
// the messages that were read before it. Here one queue, the inbox, keeps that order.

const os = require('node:os');
const native = require('../binding.js');
const { FATAL, node, rsipc, systemError } = require('../errors.js');
const validate = require('../validate.js');
const { serialize, serializeWhole, deserialize, depthExceeds } = require('./serialization.js');
const { classify, prepare, build, release } = require('./handles.js');
const { SocketLists } = require('./socket-list.js');
const { LONGEST_TIMER, LIBUV, PAYLOADS } = require('./settings.js');
const { Inbox, give } = require('./inbox.js');
const { isInternal } = require('./internal.js');
const { Peer } = require('./peer.js');
const backpressure = require('./backpressure.js');
const exit = require('./exit.js');
const lanes = require('./lanes.js');
const { TooLarge } = require('../slabs.js');
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

const LATE = 50; // ms after which a timer shows that the loop was busy

// A message that no frame can hold.
const TOO_LARGE = -os.constants.errno.EMSGSIZE;

const AT_ONCE = 64 * 1024; // bytes beside a message that wait for no other

const READABLE = 1; // libuv's UV_READABLE
const LOOK = 20; // ms between two looks for room that nothing tells of
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
    this.incoming = null; // and from there
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

    this.inbox = new Inbox(target, settings.maxEarlyBytes, (on) => this.#pause('early', on));
    this.finished = false; // the channel is over for the user
    this.stopped = false; // nothing more is taken from a peer that broke the protocol
    this.warned = new Set(); // codes of protocol errors that nobody listened for
    this.pauses = new Set(); // why the channel is not read
    this.pausedSince = 0;
    this.pausedFor = 0; // milliseconds, up to the last resumption
    this.partialTimer = null;
    this.handleTimer = null;
    this.roomTimer = null;
    this.drainWaiters = [];
    this.needDrain = false;
    this.endOfTick = () => this.#endOfTick();
  }

  // ---- the event loop ----

  start() {
    if (this.started || !this.open) return;
    this.started = true;
    this.native.open((found) => this.#found(found), (events) => this.#turn(events), LIBUV);
    if (!this.staying) this.native.setRef(false);
    exit.watch(this);
    this.onStarted?.();
  }

  setRef(on) {
    this.staying = on;
    if (this.open) this.native.setRef(on);
  }

  #turn(events) {
    if (this.open) this.#found(this.native.turn(events));
  }

  // What the native channel did in the loop's turn: texts, if that is all, or bits of `answer`.
  #found(found) {
    if (!this.open) return;
    if (typeof found === 'string') {
      if (!this.lingering && !this.stopped) this.#receiveTexts(found);
    } else {
      this.#answer(found);
    }
    if (this.watched && this.open) upgrade.consider(this);
  }

  #answer(found) {
    this.slabs?.turn();
    if (found & MESSAGES) {
      for (let runs = found >>> RUNS; runs > 0 && !this.lingering && !this.stopped; runs--) {
        this.#receiveMessages(this.advanced ? this.native.takeBytes() : this.native.takeText());
      }
      if (this.lingering || this.stopped) this.native.discard();
    } else if (found & BATCH) {
      if (this.lingering || this.stopped) this.native.discard();
      else this.#receiveBatch();
    } else if (found & EVENTS) {
      this.#receiveEvents(this.native.takeEvents());
      if (this.lingering || this.stopped) this.native.discard(); // batches that nobody fetches
    }
    if (!this.open) return;
    if (found & AGAIN) setImmediate(() => this.#turn(READABLE));
    if (found & WRITE_ERROR) this.#writeFailed(this.native.writeError);
    else if (found & WROTE) this.#wrote();
    if ((found & PARTIAL) && this.partialTimer === null && !this.lingering) this.#watchPartial();
    if (this.pauses.size > 0) this.#lookForRoom();
  }

  // Bytes that the descriptor's previous owner had read of an unfinished message.
  feed(bytes) {
    this.native.feed(bytes);
    this.#turn(READABLE);
  }

  // Reads what the kernel still holds of a child that has exited, so that its messages come first.
  readToEnd() {
    if (this.open && !this.lingering) this.#answer(this.native.drain());
  }

  // ---- receiving ----

  #receiveMessages(batch) {
    if (this.advanced) this.#receiveValues(batch);
    else this.#receiveTexts(batch);
  }

  #receiveTexts(text) {
    let start = 0;
    for (;;) {
      const end = text.indexOf('\n', start);
      if (end === -1) return;
      let message;
      try {
        message = JSON.parse(start === 0 && end === text.length - 1 ? text : text.slice(start, end));
      } catch {
        this.#protocolError('ERR_RSIPC_MALFORMED_FRAME', `a message of ${end - start} characters is not JSON`);
        if (this.stopped) return;
        start = end + 1;
        continue;
      }
      this.#deliver(message, undefined, end - start);
      start = end + 1;
    }
  }

  // Messages that the peer has encoded together.
  #receiveBatch() {
    if (this.incoming === null) {
      const { Incoming } = require('./encoded.js');
      const { sureSize, bytesAbove } = require('./size.js');
      const { maxMessageSize, maxDepth } = this.settings;
      const sure = sureSize(maxMessageSize);
      this.incoming = new Incoming(this.native, maxDepth, (message, size) => {
        if (this.stopped) return;
        const bytes = size <= sure ? 0 : bytesAbove(maxMessageSize, message, size, this.incoming.decoder.longestKey);
        if (bytes === 0) this.#deliver(message, undefined, size);
        else this.#protocolError('ERR_RSIPC_MESSAGE_TOO_LARGE', `message of ${bytes} bytes is larger than the limit of ${maxMessageSize} bytes`);
      });
    }
    try {
      this.incoming.receive();
    } catch (error) {
      // The next batch may say something by what only this one has said before.
      this.#protocolError(error.code ?? 'ERR_RSIPC_MALFORMED_FRAME', error.message, { last: true });
    }
  }

  #receiveValues(bytes) {
    for (let start = 0; start + 4 <= bytes.length;) {
      const length = bytes.readUInt32BE(start);
      this.#receiveValue(bytes.subarray(start + 4, start + 4 + length));
      if (this.stopped) return;
      start += 4 + length;
    }
    this.slabs?.tell(1);
  }

  #receiveValue(bytes) {
    const message = this.#parseValue(bytes);
    if (message !== this) this.#deliver(message, undefined, this.slabs === null ? bytes.length : this.slabs.beside);
  }

  // The value, or `this` when it was a protocol error.
  #parseValue(bytes) {
    const { slabs } = this;
    if (slabs !== null) slabs.beside = bytes.length;
    try {
      const message = deserialize(bytes, slabs);
      if (bytes.length < 2 * this.settings.maxDepth || !depthExceeds(message, this.settings.maxDepth)) return message;
      this.#protocolError('ERR_RSIPC_TOO_DEEP', `a message of ${bytes.length} bytes is nested deeper than ${this.settings.maxDepth} levels`);
    } catch (error) {
      if (error instanceof RangeError) this.#protocolError('ERR_RSIPC_TOO_DEEP', `a message of ${bytes.length} bytes is nested too deep to be read`);
      else if (error instanceof TooLarge) this.#protocolError('ERR_RSIPC_MESSAGE_TOO_LARGE', `a message of ${slabs.beside} bytes or more is larger than the limit of ${this.settings.maxMessageSize}`);
      else this.#protocolError('ERR_RSIPC_MALFORMED_FRAME', `a message of ${bytes.length} bytes is not a serialized value`);
    }
    return this;
  }

  #receiveEvents(events) {
    for (const event of events) {
      // Finished: the answer to the last handle was in this very batch, and ended the channel.
      if (this.lingering || this.stopped || this.finished) {
        if (event.kind === 'handle' && event.fd != null) native.closeFd(event.fd);
        else if (event.kind === 'taken' || event.kind === 'lost') this.#handleAnswered(event);
        else if (event.kind === 'ended' && this.lingering) this.close();
        continue;
      }
      switch (event.kind) {
        case 'messages':
          this.#receiveMessages(this.advanced ? event.bytes : event.text);
          break;
        case 'batch':
          this.#receiveBatch();
          break;
        case 'switched':
          lanes.switched(this);
          break;
        case 'handle':
          this.#receiveHandle(event);
          break;
        case 'taken':
        case 'lost':
          this.#handleAnswered(event);
          break;
        case 'problem':
          this.#protocolError(event.code, event.message, { last: event.last });
          break;
        case 'ended':
          if (event.truncated > 0) {
            this.#protocolError('ERR_RSIPC_TRUNCATED', `the channel ended ${event.truncated} bytes into a message`, { ending: true });
          }
          this.inbox.pushApart(() => this.#ended());
          break;
      }
    }
  }

  #receiveHandle(event) {
    let envelope;
    let size;
    if (this.advanced) {
      size = event.bytes.length;
      envelope = this.#parseValue(event.bytes);
    } else {
      size = event.text.length;
      try {
        envelope = JSON.parse(event.text);
      } catch {
        this.#protocolError('ERR_RSIPC_MALFORMED_FRAME', `a message of ${size} characters with a handle is not JSON`);
        envelope = this;
      }
    }
    if (envelope === this || envelope === null || typeof envelope !== 'object') {
      if (event.fd != null) native.closeFd(event.fd);
      return;
    }
    if (event.nested && envelope.msg !== null && typeof envelope.msg === 'object') envelope = envelope.msg;
    const { msg } = envelope;
    if (event.fd == null) {
      this.#deliver(msg, undefined, size, event.problem ?? 'missing');
      return;
    }
    // The object is made in the message's own turn. A server or datagram socket has to start listening
    // first; what came behind waits, so that no message overtakes it.
    this.inbox.push(() => {
      const { inbox } = this;
      inbox.building = true;
      const done = (object, problem = object === undefined ? 'kind' : undefined) => {
        if (!inbox.building) return;
        inbox.building = false;
        inbox.behindEarly(() => this.#dispatch(msg, object, size, problem));
        inbox.schedule();
      };
      build(envelope, event.fd, event.fdKind, this.lists, done);
    });
  }

  #count(size) {
    this.messages++;
    this.bytes += size;
  }

  #deliver(message, handle, size, problem) {
    if (this.watched) this.#count(size);
    if (problem === undefined && !isInternal(message)) this.inbox.push([message, handle, size]);
    else this.inbox.push(() => this.#dispatch(message, handle, size, problem));
  }

  // Hands one message to whom it concerns, now.
  #dispatch(message, handle, size, problem) {
    if (!isInternal(message)) {
      if (problem !== undefined) this.target.emit('handleProblem', { reason: problem, message });
      this.inbox.emit(message, handle, size);
    } else if (message.cmd === 'NODE_RSIPC') {
      this.peer.receive(message, handle, size, problem);
    } else if (message.cmd === 'NODE_HANDLE' || message.cmd === 'NODE_HANDLE_ACK' || message.cmd === 'NODE_HANDLE_NACK') {
      // The native channel takes these in the form Node writes them, and only there.
      this.#protocolError('ERR_RSIPC_MALFORMED_FRAME', `a ${message.cmd} message is not written as Node writes it`);
      release(handle);
    } else {
      this.lists.receive(message);
      if (handle !== undefined) give(handle);
      if (!this.target.emit('internalMessage', message, handle)) release(handle);
    }
  }

  // Not reading makes the kernel push back on the peer.
  #pause(reason, on) {
    const { pauses } = this;
    const before = pauses.size > 0;
    if (on) pauses.add(reason);
    else pauses.delete(reason);
    if (before === pauses.size > 0) return;
    if (before) this.pausedFor += performance.now() - this.pausedSince;
    else this.pausedSince = performance.now();
    if (!this.open || this.lingering) return;
    this.native.pause(!before);
    if (!before) this.#lookForRoom();
    // What a flush has read meanwhile makes no descriptor readable.
    if (before && this.native.pending) setImmediate(() => this.#turn(READABLE));
  }

  // A paused end that waits for room in the ring hears of it by the socket, unless so many handles wait for their
  // places that it is not read.
  #lookForRoom() {
    if (this.roomTimer !== null || this.transport !== 'ring' || !this.open || !this.native.blind) return;
    this.roomTimer = setTimeout(() => {
      this.roomTimer = null;
      this.#turn(0);
    }, LOOK).unref();
  }

  // Milliseconds in which this end did not read.
  #paused() {
    return this.pausedFor + (this.pauses.size > 0 ? performance.now() - this.pausedSince : 0);
  }

  // A reader with a pace of its own (an async iterator) asks for a pause, under a key of its own.
  hold(key, on) {
    this.#pause(key, on);
  }

  // A peer that asks and does not take the replies is not read.
  ignore(on) {
    this.#pause('replies', on);
  }

  // From the first incomplete message on a timer looks at what is incomplete; the native channel need not
  // say so again with every read. Time in which this end did not read is not the peer's: while the channel
  // was paused, and while the loop was too busy to call the timer.
  #watchPartial(wait = this.settings.frameTimeout - Math.max(this.native.partialAge, 0)) {
    const { frameTimeout } = this.settings;
    this.native.watchPartial(true);
    if (frameTimeout > LONGEST_TIMER) return;
    const started = performance.now();
    const pausedBefore = this.#paused();
    const due = Math.max(wait, 1);
    this.partialTimer = setTimeout(() => {
      this.partialTimer = null;
      if (!this.open) return;
      const late = performance.now() - started - due;
      const owed = this.#paused() - pausedBefore + (late > LATE ? late : 0);
      if (this.pauses.size === 0) this.#turn(READABLE);
      if (!this.open || this.stopped || this.partialTimer !== null) return;
      const age = this.native.partialAge;
      if (age < 0) this.native.watchPartial(false);
      else if (this.pauses.size > 0) this.#watchPartial(frameTimeout);
      else if (owed > 0) this.#watchPartial(Math.min(owed, frameTimeout));
      else if (age < frameTimeout) this.#watchPartial(frameTimeout - age);
      else this.#protocolError('ERR_RSIPC_FRAME_TIMEOUT', `a message has been incomplete for ${frameTimeout} ms, with ${this.native.partialBytes} bytes of it here`, { last: true }); // the rest may come at any time
    }, due).unref();
  }

  // The peer has broken a protocol that others speak on this channel.
  breach(code, message) {
    this.#protocolError(code, message, { last: true });
  }

  // A peer that breaks the protocol is told apart from one that ends: an event, then the policy. `last`: what
  // comes behind it cannot be read.
  #protocolError(code, message, { ending = false, last = false } = {}) {
    const error = rsipc.protocol(code, `${this.who()}: ${message}`);
    const { onProtocolError } = this.settings;
    const policy = last && onProtocolError === 'drop' ? 'disconnect' : onProtocolError;
    if (!ending && policy !== 'drop') {
      this.stopped = true;
      this.#pause('stopped', true);
    }
    this.inbox.push(() => {
      try {
        if (this.target.listenerCount('protocolError') > 0) this.target.emit('protocolError', error);
        else this.#warn(error);
      } finally {
        if (this.stopped && !ending) {
          if (policy === 'kill') this.role.kill?.(this.target);
          this.#ended();
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

  #ended() {
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
    clearTimeout(this.partialTimer);
    clearTimeout(this.handleTimer);
    clearTimeout(this.roomTimer);
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
      if (this.watched) this.#count(value.payload.length + (value.pieces ?? []).reduce((sum, piece) => sum + piece.length, 0));
      code = this.broken || (value.pieces === null
        ? this.native.sendBytes(value.payload, gather)
        : this.native.sendPieces(value.payload, value.places, value.pieces, gather));
      if (code < 0) slabs?.undo();
    } else {
      const text = JSON.stringify(message);
      if (text === undefined) throw rsipc.notSerializable();
      this.sentSize = 3 * text.length + 1;
      if (this.watched) this.#count(text.length);
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
    if (this.pauses.size > 0) this.#lookForRoom();
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

  #handleAnswered(event) {
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
    if (!exit.exiting) setImmediate(() => this.#turn(READABLE));
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
