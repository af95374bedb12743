'use strict';
// What a link does with what its native channel has read: texts, values and batches become messages, descriptors become
// handles, and what breaks the protocol is told.

const native = require('../binding.js');
const { deserialize, depthExceeds } = require('./serialization.js');
const { build, release } = require('./handles.js');
const { give } = require('./inbox.js');
const { isInternal } = require('./internal.js');
const lanes = require('./lanes.js');
const { TooLarge } = require('../slabs.js');

class Receiver {
  #link;
  #incoming = null; // messages from shared memory

  constructor(link) {
    this.#link = link;
  }

  messages(batch) {
    if (this.#link.advanced) this.#values(batch);
    else this.texts(batch);
  }

  texts(text) {
    const link = this.#link;
    let start = 0;
    for (;;) {
      const end = text.indexOf('\n', start);
      if (end === -1) return;
      let message;
      try {
        message = JSON.parse(start === 0 && end === text.length - 1 ? text : text.slice(start, end));
      } catch {
        link.protocolError('ERR_RSIPC_MALFORMED_FRAME', `a message of ${end - start} characters is not JSON`);
        if (link.stopped) return;
        start = end + 1;
        continue;
      }
      this.#deliver(message, undefined, end - start);
      start = end + 1;
    }
  }

  // Messages that the peer has encoded together.
  batch() {
    const link = this.#link;
    if (this.#incoming === null) {
      const { Incoming } = require('./encoded.js');
      const { sureSize, bytesAbove } = require('./size.js');
      const { maxMessageSize, maxDepth } = link.settings;
      const sure = sureSize(maxMessageSize);
      this.#incoming = new Incoming(link.native, maxDepth, (message, size) => {
        if (link.stopped) return;
        const bytes = size <= sure ? 0 : bytesAbove(maxMessageSize, message, size, this.#incoming.decoder.longestKey);
        if (bytes === 0) this.#deliver(message, undefined, size);
        else link.protocolError('ERR_RSIPC_MESSAGE_TOO_LARGE', `message of ${bytes} bytes is larger than the limit of ${maxMessageSize} bytes`);
      });
    }
    try {
      this.#incoming.receive();
    } catch (error) {
      // The next batch may say something by what only this one has said before.
      link.protocolError(error.code ?? 'ERR_RSIPC_MALFORMED_FRAME', error.message, { last: true });
    }
  }

  #values(bytes) {
    const link = this.#link;
    for (let start = 0; start + 4 <= bytes.length;) {
      const length = bytes.readUInt32BE(start);
      this.#value(bytes, start + 4, length);
      if (link.stopped) return;
      start += 4 + length;
    }
    link.slabs?.tell(1);
  }

  #value(bytes, start, length) {
    const { slabs } = this.#link;
    const message = this.#parse(bytes, start, length);
    if (message !== this) this.#deliver(message, undefined, slabs === null ? length : slabs.beside);
  }

  // The value, or `this` when it was a protocol error.
  #parse(bytes, start, length) {
    const link = this.#link;
    const { slabs } = link;
    if (slabs !== null) slabs.beside = length;
    try {
      const message = deserialize(bytes, slabs, start, start + length);
      if (length < 2 * link.settings.maxDepth || !depthExceeds(message, link.settings.maxDepth)) return message;
      link.protocolError('ERR_RSIPC_TOO_DEEP', `a message of ${length} bytes is nested deeper than ${link.settings.maxDepth} levels`);
    } catch (error) {
      if (error instanceof RangeError) link.protocolError('ERR_RSIPC_TOO_DEEP', `a message of ${length} bytes is nested too deep to be read`);
      else if (error instanceof TooLarge) link.protocolError('ERR_RSIPC_MESSAGE_TOO_LARGE', `a message of ${slabs.beside} bytes or more is larger than the limit of ${link.settings.maxMessageSize}`);
      else link.protocolError('ERR_RSIPC_MALFORMED_FRAME', `a message of ${length} bytes is not a serialized value`);
    }
    return this;
  }

  events(events) {
    const link = this.#link;
    for (const event of events) {
      // Finished: the answer to the last handle was in this very batch, and ended the channel.
      if (link.lingering || link.stopped || link.finished) {
        if (event.kind === 'handle' && event.fd != null) native.closeFd(event.fd);
        else if (event.kind === 'taken' || event.kind === 'lost') link.handleAnswered(event);
        else if (event.kind === 'ended' && link.lingering) link.close();
        continue;
      }
      switch (event.kind) {
        case 'messages':
          this.messages(link.advanced ? event.bytes : event.text);
          break;
        case 'batch':
          this.batch();
          break;
        case 'switched':
          lanes.switched(link);
          break;
        case 'handle':
          this.#handle(event);
          break;
        case 'taken':
        case 'lost':
          link.handleAnswered(event);
          break;
        case 'problem':
          link.protocolError(event.code, event.message, { last: event.last });
          break;
        case 'ended':
          if (event.truncated > 0) {
            link.protocolError('ERR_RSIPC_TRUNCATED', `the channel ended ${event.truncated} bytes into a message`, { ending: true });
          }
          link.inbox.pushApart(() => link.ended());
          break;
      }
    }
  }

  #handle(event) {
    const link = this.#link;
    let envelope;
    let size;
    if (link.advanced) {
      size = event.bytes.length;
      envelope = this.#parse(event.bytes, 0, event.bytes.length);
    } else {
      size = event.text.length;
      try {
        envelope = JSON.parse(event.text);
      } catch {
        link.protocolError('ERR_RSIPC_MALFORMED_FRAME', `a message of ${size} characters with a handle is not JSON`);
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
    link.inbox.push(() => {
      const { inbox } = link;
      inbox.building = true;
      const done = (object, problem = object === undefined ? 'kind' : undefined) => {
        if (!inbox.building) return;
        inbox.building = false;
        inbox.behindEarly(() => this.#dispatch(msg, object, size, problem));
        inbox.schedule();
      };
      build(envelope, event.fd, event.fdKind, link.lists, done);
    });
  }

  #deliver(message, handle, size, problem) {
    const link = this.#link;
    if (link.watched) link.count(size);
    if (problem === undefined && !isInternal(message)) link.inbox.push([message, handle, size]);
    else link.inbox.push(() => this.#dispatch(message, handle, size, problem));
  }

  // Hands one message to whom it concerns, now.
  #dispatch(message, handle, size, problem) {
    const link = this.#link;
    if (!isInternal(message)) {
      if (problem !== undefined) link.target.emit('handleProblem', { reason: problem, message });
      link.inbox.emit(message, handle, size);
    } else if (message.cmd === 'NODE_RSIPC') {
      link.peer.receive(message, handle, size, problem);
    } else if (message.cmd === 'NODE_HANDLE' || message.cmd === 'NODE_HANDLE_ACK' || message.cmd === 'NODE_HANDLE_NACK') {
      // The native channel takes these in the form Node writes them, and only there.
      link.protocolError('ERR_RSIPC_MALFORMED_FRAME', `a ${message.cmd} message is not written as Node writes it`);
      release(handle);
    } else {
      link.lists.receive(message);
      if (handle !== undefined) give(handle);
      if (!link.target.emit('internalMessage', message, handle)) release(handle);
    }
  }
}

module.exports = { Receiver };
