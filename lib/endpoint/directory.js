'use strict';
// `file:/dir/`: a directory in which each message is a file. Who connects writes there, who serves reads.
//
// A file is written under a name that no reader looks at and renamed when it is whole. Its name says who has sent it and
// its number; in front of the message stand its codec, its length and a checksum. A reader tells a message when it has
// removed its file: of several readers one can do that, so each message is told once, and what nobody has removed is
// there for the next reader. What the system says of changes only makes the reader look: it may say so late, once for
// many, or not at all.

const { createHash, randomBytes } = require('node:crypto');
const fs = require('node:fs');
const { join } = require('node:path');
const { promisify } = require('node:util');
const { rsipc } = require('../errors.js');
const validate = require('../validate.js');
const { LONGEST_TIMER } = require('./settings.js');
const { CODECS, PacketEnd, shaped, fromBytes, idlers } = require('./packets.js');
const { outside } = require('./outside.js');
const { pathOf, distrust } = require('./media.js');

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
const HEAD = 28; // magic and version, codec, length, 16 bytes of the SHA-256 of the message
const MAGIC = Buffer.from('rsf\x01');
const NAME = /^([0-9a-f]{16})\.(\d{12})\.msg$/;
const PARTIAL = /^\.[0-9a-f]{16}\.\d{12}\.tmp$/;
const ASIDE = 'bad'; // where files go that are no messages
const MOST_ASIDE = 1_000;
const LOOK = 1_000; // ms between looks without being told
const COUNTED = 64; // messages a writer writes until it counts the files again
const FULL = 50; // ms until it does when there were too many
const LONGEST = 1024 * 1024 * 1024;
// Shorter ones are read and written by calls that wait, a few microseconds each: a thread for every call costs five times
// as much as the calls do. After so many the loop has its turn.
const SHORT = 64 * 1024;
const TURN = 32;
const read = promisify(fs.read);
const turn = () => new Promise(setImmediate);

const checksum = (bytes) => createHash('sha256').update(bytes).digest().subarray(0, 16);

function head(codec, bytes) {
  const made = Buffer.alloc(HEAD);
  MAGIC.copy(made);
  made[4] = CODECS.indexOf(codec) + 1;
  made.writeUInt32LE(bytes.length, 8);
  checksum(bytes).copy(made, 12);
  return made;
}

function shape(endpoint, options, check, role) {
  const reads = role === 'serve';
  const settings = shaped(options, check, { where: endpoint, longest: LONGEST, reads });
  if (reads) {
    settings.idleTimeout = options.idleTimeout ?? 60_000;
    validate.number(settings.idleTimeout, 'options.idleTimeout', 1);
    if (settings.idleTimeout > LONGEST_TIMER) settings.idleTimeout = Infinity;
  } else {
    settings.maxFiles = options.maxFiles ?? 10_000;
    validate.integer(settings.maxFiles, 'options.maxFiles', 1);
  }
  return settings;
}

function trust(endpoint, path, allow) {
  const stat = fs.statSync(path);
  const why = stat.isDirectory() ? distrust(stat, allow) : 'is no directory';
  if (why !== null) throw rsipc.untrusted(endpoint, why);
}

// ---- reading ----

// What one sender has sent.
class Sender extends PacketEnd {
  constructor(listener, id) {
    super();
    this.listener = listener;
    this.id = id;
    this.peer = { sender: id };
    this.next = 1;
    this.heardAt = performance.now();
  }

  sendBytes() {
    return 0;
  }

  pause(on) {
    super.pause(on);
    if (!on) this.listener.look();
  }

  close() {
    super.close();
    if (this.listener.senders.get(this.id) === this) this.listener.senders.delete(this.id);
  }
}

class DirectoryListener {
  senders = new Map();
  #endpoint;
  #path;
  #settings;
  #problem;
  #waiting = [];
  #found = null;
  #watcher = null;
  #timer = null;
  #stopIdlers;
  #looking = false;
  #again = false;
  #closed = false;
  #sweptAt = -Infinity;
  #taken = 0;

  constructor(endpoint, settings, problem) {
    this.#endpoint = endpoint;
    this.#path = pathOf(endpoint);
    this.#settings = settings;
    this.#problem = (error) => outside(() => problem(error));
    try {
      fs.mkdirSync(this.#path, { mode: 0o700 });
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    trust(endpoint, this.#path, settings.allow);
  }

  open(found) {
    this.#found = found;
    // Before the first look: what comes in between is told.
    this.#watcher = fs.watch(this.#path, () => this.look());
    this.#watcher.on('error', (error) => this.#problem(error));
    this.#timer = setInterval(() => this.look(), LOOK).unref();
    this.#stopIdlers = idlers(() => this.senders.values(), this.#settings.idleTimeout);
    this.look();
  }

  accept() {
    return this.#waiting.shift() ?? null;
  }

  pause() {
    return 0;
  }

  resume() {}

  get address() {
    return this.#endpoint;
  }

  setRef(on) {
    if (on) this.#watcher.ref();
    else this.#watcher.unref();
  }

  close() {
    this.#closed = true;
    this.#watcher?.close();
    clearInterval(this.#timer);
    this.#stopIdlers?.();
  }

  look() {
    this.#again = true;
    if (!this.#looking && !this.#closed) this.#run();
  }

  async #run() {
    this.#looking = true;
    try {
      while (this.#again && !this.#closed) {
        this.#again = false;
        for (const entry of await this.#list()) {
          if (this.#closed) break;
          await this.#take(entry);
          if (++this.#taken % TURN === 0) await turn();
        }
        if (performance.now() - this.#sweptAt > this.#settings.frameTimeout / 2) await this.#sweep();
      }
    } catch (error) {
      if (!this.#closed) this.#problem(error);
    } finally {
      this.#looking = false;
    }
  }

  // Files to take, the first of each sender first.
  async #list() {
    const read = async () => {
      const found = [];
      for (const name of await fs.promises.readdir(this.#path)) {
        const match = NAME.exec(name);
        if (match !== null) found.push({ name, sender: match[1], number: Number(match[2]) });
      }
      return found.sort((a, b) => a.number - b.number || (a.sender < b.sender ? -1 : 1));
    };
    const first = await read();
    const last = new Map();
    let gap = false;
    for (const { sender, number } of first) {
      gap ||= number !== (last.get(sender) ?? (this.senders.get(sender)?.next ?? 1) - 1) + 1;
      last.set(sender, number);
    }
    if (!gap) return first;
    // A listing may miss a file that came while it was made, and have a later one. A second one does not miss that file.
    return (await read()).filter(({ sender, number }) => number <= last.get(sender));
  }

  // The end that a sender's messages go to; null when there are too many or it does not read.
  #endOf(id) {
    let end = this.senders.get(id);
    if (end === undefined) {
      if (this.senders.size >= this.#settings.maxConnections) return null;
      end = new Sender(this, id);
      this.senders.set(id, end);
      this.#waiting.push(end);
      outside(() => this.#found());
    }
    return end.paused || end.closed ? null : end;
  }

  async #take({ name, sender, number }) {
    if (this.senders.get(sender)?.paused ?? this.senders.size >= this.#settings.maxConnections) return;
    const path = join(this.#path, name);
    let bytes;
    let message;
    try {
      bytes = await this.#read(path);
      if (bytes === null) return;
      message = this.#decode(bytes);
    } catch (error) {
      if (error.code !== 'ENOENT') await this.#setAside(name, error);
      return;
    }
    // From here to the listener nothing waits: what is removed is told.
    const end = this.#closed ? null : this.#endOf(sender);
    if (end === null) return;
    try {
      fs.unlinkSync(path);
    } catch (error) {
      if (error.code !== 'ENOENT') this.#problem(error); // another reader has it
      return;
    }
    end.next = number + 1;
    end.heardAt = performance.now();
    outside(() => end.give(message, bytes.length));
  }

  async #read(path) {
    let fd;
    try {
      fd = fs.openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    } catch (error) {
      if (error.code === 'ELOOP') throw rsipc.untrusted(this.#endpoint, 'a link has the name of a message');
      throw error;
    }
    try {
      const stat = fs.fstatSync(fd);
      const why = stat.isFile() ? distrust(stat, this.#settings.allow) : 'is no file';
      if (why !== null) throw rsipc.untrusted(this.#endpoint, `what has the name of a message ${why}`);
      const { maxMessageSize } = this.#settings;
      if (stat.size > maxMessageSize + HEAD) throw rsipc.protocol('ERR_RSIPC_MESSAGE_TOO_LARGE', `${this.#endpoint}: a file of ${stat.size} bytes holds more than maxMessageSize (${maxMessageSize})`);
      const bytes = Buffer.allocUnsafe(stat.size);
      let at = 0;
      while (at < bytes.length) {
        const count = bytes.length <= SHORT ? fs.readSync(fd, bytes, at, bytes.length - at, at) : (await read(fd, bytes, at, bytes.length - at, at)).bytesRead;
        if (count === 0) break;
        at += count;
      }
      return bytes.subarray(0, at);
    } finally {
      fs.closeSync(fd);
    }
  }

  #decode(bytes) {
    const wrong = (why) => rsipc.protocol('ERR_RSIPC_MALFORMED_FRAME', `${this.#endpoint}: a file of ${bytes.length} bytes ${why}`);
    if (!bytes.subarray(0, 4).equals(MAGIC.subarray(0, Math.min(bytes.length, 4)))) throw wrong('does not begin as a message does');
    const length = bytes.length < HEAD ? Infinity : bytes.readUInt32LE(8);
    const body = bytes.subarray(HEAD);
    if (body.length < length) throw rsipc.protocol('ERR_RSIPC_TRUNCATED', `${this.#endpoint}: a file ends ${bytes.length} bytes into a message`);
    if (body.length > length || !checksum(body).equals(bytes.subarray(12, HEAD))) throw wrong('is not what its checksum says');
    const codec = CODECS[bytes[4] - 1] ?? 'none';
    if (codec !== this.#settings.codec) throw rsipc.otherCodec(this.#endpoint, this.#settings.codec, codec);
    try {
      return fromBytes(this.#settings, body);
    } catch (error) {
      throw error.code === 'ERR_RSIPC_TOO_DEEP' ? error : wrong(`is not what codec '${codec}' writes`);
    }
  }

  // Out of the way, to be looked at, and told: by the one reader that has moved it.
  async #setAside(name, error) {
    if (this.#closed) return;
    const path = join(this.#path, name);
    const aside = join(this.#path, ASIDE);
    try {
      await fs.promises.mkdir(aside, { mode: 0o700 }).catch((failure) => {
        if (failure.code !== 'EEXIST') throw failure;
      });
      if ((await fs.promises.readdir(aside)).length < MOST_ASIDE) await fs.promises.rename(path, join(aside, name));
      else await fs.promises.unlink(path);
    } catch (failure) {
      if (failure.code === 'ENOENT') return;
      this.#problem(failure);
    }
    this.#problem(error);
  }

  // What a writer has begun and not completed: it was killed.
  async #sweep() {
    this.#sweptAt = performance.now();
    const { frameTimeout } = this.#settings;
    for (const name of await fs.promises.readdir(this.#path)) {
      if (!PARTIAL.test(name)) continue;
      const stat = await fs.promises.lstat(join(this.#path, name)).catch(() => null);
      if (stat === null || Date.now() - stat.mtimeMs <= frameTimeout) continue;
      await this.#setAside(name, rsipc.protocol('ERR_RSIPC_FRAME_TIMEOUT', `${this.#endpoint}: a message was not completed within ${frameTimeout} ms`));
    }
  }
}

// ---- writing ----

class Writer extends PacketEnd {
  #path;
  #settings;
  #sender = randomBytes(8).toString('hex');
  #number = 0;
  #outbox = [];
  #writing = false;
  #wake = null;

  constructor(endpoint, settings) {
    super();
    this.#path = pathOf(endpoint);
    this.#settings = settings;
    trust(endpoint, this.#path, settings.allow);
  }

  sendBytes(kind, nothing, bytes) {
    this.#outbox.push(bytes);
    this.queued += bytes.length;
    if (!this.#writing) this.#run();
    return this.queued;
  }

  async #run() {
    this.#writing = true;
    try {
      while (this.#outbox.length > 0) {
        const batch = this.#outbox;
        this.#outbox = [];
        for (const bytes of batch) {
          if (this.#number % COUNTED === 0) await this.#room();
          if (this.closed) return;
          await this.#write(bytes);
          outside(() => this.left(bytes.length));
        }
      }
    } catch (error) {
      this.failed(error.errno ?? -5);
    } finally {
      this.#writing = false;
    }
  }

  // One after the other: when a message is there, those before it were.
  async #write(bytes) {
    const name = `${this.#sender}.${String(++this.#number).padStart(12, '0')}`;
    const partial = join(this.#path, `.${name}.tmp`);
    const whole = join(this.#path, `${name}.msg`);
    const file = Buffer.concat([head(this.#settings.codec, bytes), bytes]);
    const options = { flag: 'wx', mode: 0o600 };
    try {
      if (file.length <= SHORT) fs.writeFileSync(partial, file, options);
      else await fs.promises.writeFile(partial, file, options);
      fs.renameSync(partial, whole);
    } catch (error) {
      await fs.promises.unlink(partial).catch(() => {});
      throw error;
    }
    if (this.#number % TURN === 0) await turn();
  }

  // Waits while there are too many files.
  async #room() {
    const crowded = async () => (await fs.promises.readdir(this.#path)).length >= this.#settings.maxFiles;
    while (!this.closed && await crowded()) {
      await new Promise((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, FULL);
      });
    }
  }

  close() {
    super.close();
    this.#outbox = [];
    this.#wake?.();
  }
}

const bind = async (endpoint, settings, problem) => new DirectoryListener(endpoint, settings, problem);
const dialer = (endpoint, settings) => ({ endpoint, open: async () => new Writer(endpoint, settings) });

module.exports = { shape, bind, dialer };
