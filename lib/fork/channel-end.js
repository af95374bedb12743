'use strict';
// `channelPair`: two ends of a channel that no process was started for. An end can be given away: to another
// process as a handle, to another thread of this one by `transfer`.
//
// An end begins to read with its first use: only then does anything that was sent to it leave the socket, which
// is what travels. So an end that was not used yet loses nothing on the way, and one that was is not given away.

const EventEmitter = require('node:events');
const native = require('../binding.js');
const { node, rsipc } = require('../errors.js');
const validate = require('../validate.js');
const { attach } = require('./attach.js');
const { END } = require('./handles.js');
const { getOneMessage, getEachMessage } = require('./messages.js');
const { FIRST, SECOND } = require('./roles.js');
const { TRANSPORTS, settingsFrom, nativeOptions } = require('./settings.js');
const upgrade = require('./upgrade.js');

const SERIALIZATIONS = ['json', 'advanced'];
const REASONS = new Set(['message', 'disconnect']); // to stay, and to read: listeners for these
let making = false;

class ChannelEnd extends EventEmitter {
  #link;
  #settings;

  constructor(channel, settings, role) {
    if (!making) throw node.illegalConstructor();
    super();
    this.#settings = settings;
    this.#make(channel, role);
    this.on('newListener', (event) => {
      if (!REASONS.has(event)) return;
      this.#link.start();
      this.#link.control.refCounted();
    });
    this.on('removeListener', (event) => {
      if (REASONS.has(event)) this.#link.control.unrefCounted();
    });
  }

  #make(channel, role) {
    const link = attach(this, channel, this.#settings, role);
    link.peer.known = true;
    link.setRef(false);
    link.onStarted = () => {
      if (role.offers) upgrade.watchEnd(link);
    };
    this.#link = link;
  }

  // An end that another thread of this process has given to `transfer`.
  static from(transferred) {
    validate.object(transferred, 'transferred');
    const { rsipcChannelEnd: ticket, pid, ...words } = transferred;
    if (!Number.isSafeInteger(ticket) || pid !== process.pid) {
      throw node.invalidValue('transferred', transferred, 'is not what transfer() of a channel end has returned in this process');
    }
    const fd = native.claimFd?.(ticket) ?? -1;
    const end = fd < 0 ? undefined : arrive(words, fd, 'pipe');
    if (end === undefined) throw rsipc.endTaken();
    return end;
  }

  // Options of this end, of one that has arrived, say: they are not its sender's to choose. Before its first use.
  configure(options) {
    validate.object(options, 'options');
    const { serialization } = this.#settings;
    const settings = checked({ ...options, serialization });
    const channel = this.#unused();
    const { role } = this.#link;
    const next = native.Channel.adopt(channel.fd, nativeOptions(settings));
    this.#link.giveAway();
    this.#settings = settings;
    this.#make(next, role);
    return this;
  }

  // The native channel of an end that nothing was done with.
  #unused() {
    const { open, started, native: channel } = this.#link;
    if (!open || !this.connected) throw rsipc.endClosed();
    if (started) throw rsipc.endInUse();
    return channel;
  }

  [END]() {
    const { fd } = this.#unused();
    return { fd, words: this.#words(), given: () => this.#link.giveAway() };
  }

  #words() {
    const { serialization, transport } = this.#settings;
    return { serialization, transport, offers: this.#link.role.offers };
  }

  // Gives the end to another thread of this process: what is returned can be posted to it, or be its `workerData`,
  // and becomes an end there by `ChannelEnd.from`.
  transfer() {
    const { fd } = this.#unused();
    const transferred = { rsipcChannelEnd: native.parkFd(fd), pid: process.pid, ...this.#words() };
    this.#link.giveAway();
    return transferred;
  }

  // A reason to stay while somebody waits for the answer.
  async #awaited(work) {
    const { control } = this.#link;
    control.refCounted();
    try {
      return await work();
    } finally {
      control.unrefCounted();
    }
  }

  request(body, options) {
    return this.#awaited(() => this.#link.peer.request(body, options));
  }

  onRequest(handler) {
    this.#link.peer.onRequest(handler, this);
  }

  getOneMessage(options) {
    return getOneMessage(this, () => this.#link.who(), options);
  }

  getEachMessage(options) {
    return getEachMessage(this, this.#link, options);
  }

  ref() {
    this.channel?.ref();
  }

  unref() {
    this.channel?.unref();
  }

  // Ends the channel, if it has not ended; resolves when what was accepted is written, or nobody takes it.
  close() {
    const link = this.#link;
    if (!link.open) return Promise.resolve();
    return new Promise((resolve) => {
      const { onShut } = link;
      link.onShut = () => {
        onShut?.();
        resolve();
      };
      if (this.connected) this.disconnect();
    });
  }

  async [Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')]() {
    await this.close();
  }
}

function make(channel, settings, role) {
  making = true;
  try {
    return new ChannelEnd(channel, settings, role);
  } finally {
    making = false;
  }
}

function checked(options) {
  validate.object(options, 'options');
  if (Object.hasOwn(options, 'serialization') && options.serialization !== undefined) {
    validate.oneOf(options.serialization, 'options.serialization', SERIALIZATIONS);
  }
  // There is no child whose end it could be.
  if (Object.hasOwn(options, 'onProtocolError') && options.onProtocolError !== undefined) {
    validate.oneOf(options.onProtocolError, 'options.onProtocolError', ['disconnect', 'drop']);
  }
  return settingsFrom(options);
}

// Two ends of a new channel.
function channelPair(options = {}) {
  const settings = checked(options);
  if (native.Channel === undefined) throw rsipc.notAvailable('rsipc.channelPair');
  const first = native.Channel.pair(nativeOptions(settings));
  try {
    const second = native.Channel.adopt(first.childFd, nativeOptions(settings));
    first.closeChildEnd();
    return [make(first, settings, FIRST), make(second, settings, SECOND)];
  } catch (error) {
    first.close();
    throw error;
  }
}

// The end that a descriptor and the words of the envelope stand for; undefined if they stand for none. The
// descriptor is used up.
function arrive(words, fd, kind) {
  try {
    if (kind !== 'pipe' || words === null || typeof words !== 'object') return undefined;
    const { serialization, transport, offers } = words;
    if (!SERIALIZATIONS.includes(serialization) || !TRANSPORTS.includes(transport)) return undefined;
    const settings = settingsFrom({ serialization, transport });
    return make(native.Channel.adopt(fd, nativeOptions(settings)), settings, offers === true ? FIRST : SECOND);
  } catch {
    return undefined; // no descriptor is left
  } finally {
    native.closeFd(fd);
  }
}

module.exports = { ChannelEnd, channelPair, arrive };
