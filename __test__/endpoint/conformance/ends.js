'use strict';
// The ends of a connection, as the properties use them. Each is here or in another process, where the program
// fixtures/endpoint/far.js does what it is told; that looks the same.

const { spawn } = require('node:child_process');
const path = require('node:path');
const { Duplex } = require('node:stream');
const { CODECS, directory } = require('../places.js');
const { happened } = require('../../helpers/wait.js');
const { serve, connect } = require('../../../index.js');
const native = require('../../../lib/binding.js');

const STEP = 100; // messages a sender gives between looks for room
const FAR = path.join(__dirname, '../../fixtures/endpoint/far.js');

// What a message is compared with: that it is whole as well.
const isNumber = (codec, message, number) => CODECS[codec].number(message) === number &&
  (codec === 'raw' || codec === 'v8' ? codec === 'raw' || message.map.get(number) === 1n : message.text === CODECS[codec].make(number).text);

class End {
  #connection;
  #codec;
  #inbox = []; // what came before anybody asked for it
  #hear = (message) => this.#inbox.push(message);

  constructor(connection, codec) {
    this.#connection = connection;
    this.#codec = codec;
    this.over = new Promise((resolve) => {
      connection.once('close', (error) => resolve(error?.code ?? null));
    });
    connection.on('message', (message) => this.#hear(message));
  }

  // Gives `hear` each message until it answers true.
  #until(hear) {
    const keep = this.#hear;
    return new Promise((resolve, reject) => {
      const done = (settle, value) => {
        if (this.#hear === one) this.#hear = keep;
        settle(value);
      };
      const one = (message) => {
        try {
          if (hear(message)) done(resolve);
        } catch (error) {
          done(reject, error);
        }
      };
      this.#hear = one;
      while (this.#hear === one && this.#inbox.length > 0) one(this.#inbox.shift());
      const ended = async () => done(reject, new Error(`the connection has ended: ${await this.over}`));
      if (this.#hear === one) ended();
    });
  }

  // ---- what comes ----

  // The next so many messages.
  async next(count) {
    const got = [];
    await this.#until((message) => got.push(message) === count);
    return got;
  }

  // Resolves when messages 0 to `count` - 1 have come, each once, whole and in order.
  async counted(count) {
    let next = 0;
    await this.#until((message) => {
      if (!isNumber(this.#codec, message, next)) throw new Error(`${JSON.stringify(message)?.slice(0, 200)} came for ${next}`);
      return ++next === count;
    });
  }

  // Until number `last` has come: how many have, each whole and later than those before it. Of an earlier time only the
  // last, `first` - 1, may come again.
  async rising(first, last) {
    let [count, highest] = [0, first - 1];
    await this.#until((message) => {
      const number = CODECS[this.#codec].number(message);
      const rises = number > highest || (number === first - 1 && highest === number);
      if (!isNumber(this.#codec, message, number) || !rises) throw new Error(`${JSON.stringify(message)?.slice(0, 200)} came after ${highest}`);
      count++;
      highest = number;
      return number === last;
    });
    return count;
  }

  // How many have come that nobody has asked for.
  async unread() {
    return this.#inbox.length;
  }

  // ---- what goes ----

  async say(messages) {
    for (const message of messages) this.#connection.send(message);
  }

  // The error of a message that is refused.
  async refused(message) {
    try {
      await this.#connection.send(message);
    } catch ({ code }) {
      return code;
    }
    return null;
  }

  // Sends so many messages, numbered from `first`, waiting for room.
  async stream(count, first = 0) {
    const { make } = CODECS[this.#codec];
    for (let number = 0; number < count; number++) {
      const room = this.#connection.send(make(first + number));
      if (number % STEP === STEP - 1) await room;
    }
  }

  // The same in one tick.
  async burst(count, first = 0) {
    for (let number = 0; number < count; number++) this.#connection.send(CODECS[this.#codec].make(first + number));
  }

  // Answers each message with `times` others as long as it is connected.
  async chatter(times) {
    const keep = this.#hear;
    this.#hear = (message) => {
      keep(message);
      for (let i = 0; i < times && this.#connection.connected; i++) this.#connection.send(message).catch(() => {});
    };
  }

  // ---- requests ----

  async answer() {
    this.#connection.handle('echo', (body) => body);
    this.#connection.handle('later', (body) => new Promise((resolve) => {
      setImmediate(resolve, body);
    }));
  }

  // So many requests at once: how many answers were right.
  async ask(count) {
    const { make } = CODECS[this.#codec];
    const asked = Array.from({ length: count }, (_, number) => this.#connection.request(number % 2 === 0 ? 'echo' : 'later', make(number)));
    return (await Promise.all(asked)).filter((answer, number) => isNumber(this.#codec, answer, number)).length;
  }

  // ---- the rest ----

  async pause() {
    this.#connection.pause();
  }

  async resume() {
    this.#connection.resume();
  }

  async waiting() {
    return this.#connection.queued;
  }

  async datagrams() {
    return this.#connection.datagrams;
  }

  async close() {
    await this.#connection.close();
  }

  // Ends as a process that is killed would.
  async destroy() {
    this.#connection.destroy();
  }

  // Resolves with the code of the reason when it is over; null when it ended in order.
  async ended() {
    return this.over;
  }
}

const OPERATIONS = Object.getOwnPropertyNames(End.prototype).filter((name) => name !== 'constructor');

// An end in another process.
class FarEnd {
  constructor(child) {
    let calls = 0;
    const waiting = new Map();
    child.on('message', ({ id, value, error }) => {
      const { resolve, reject } = waiting.get(id);
      waiting.delete(id);
      if (error === undefined) resolve(value);
      else reject(new Error(error));
    });
    for (const name of OPERATIONS) {
      this[name] = (...args) => new Promise((resolve, reject) => {
        const id = ++calls;
        waiting.set(id, { resolve, reject });
        child.send({ id, name, args });
      });
    }
  }
}

// A program at the far end of what `stdio` says.
function program(t, endpoint, options, stdio, env = {}) {
  const child = spawn(process.execPath, [FAR, endpoint, JSON.stringify(options)], { stdio, env: { ...process.env, ...env }, serialization: 'advanced' });
  const exited = happened(child, 'exit');
  child.stop = async () => {
    child.kill('SIGKILL');
    await exited;
  };
  t.after(child.stop);
  return child;
}

// Two streams, each of which reads what the other writes, when it reads.
function joined() {
  const held = [null, null];
  const ends = [0, 1].map((index) => new Duplex({
    read() {
      const done = held[index];
      held[index] = null;
      done?.();
    },
    write(chunk, encoding, done) {
      if (ends[1 - index].push(chunk)) setImmediate(done);
      else held[1 - index] = done;
    },
    final(done) {
      ends[1 - index].push(null);
      done();
    },
  }));
  return ends;
}

// A server of that kind. `accepted()` resolves with the end of its next connection.
async function hosted(t, { place, codec }, options = {}) {
  const waiting = [];
  const wanted = [];
  let server;
  const start = async (endpoint) => {
    server = await serve(endpoint, { codec, ...place.serve?.(), ...options });
    server.on('connection', (connection) => {
      const end = new End(connection, codec);
      if (wanted.length > 0) wanted.shift()(end);
      else waiting.push(end);
    });
    return server;
  };
  await start(place.at(t));
  t.after(() => server.close({ timeout: 1_000 }));
  const endpoint = server.address();
  const accepted = () => (waiting.length > 0 ? Promise.resolve(waiting.shift()) : new Promise((resolve) => wanted.push(resolve)));
  return { server, endpoint, accepted, stop: () => server.close(), start: () => start(endpoint) };
}

const client = async (t, target, options) => {
  const made = await connect(target, options);
  t.after(() => made.destroy());
  return made;
};

// A connection at `place`: `near` is the end that has connected. Where a server is in this process, it is there, too.
async function open(t, { place, codec }, { server: atServer = {}, client: atClient = {}, ...both } = {}) {
  const options = { codec, ...place.connect?.(), ...both, ...atClient };
  const there = { ...both, ...atServer };
  if (place.joined) {
    const [one, other] = joined();
    const [connection, second] = await Promise.all([client(t, one, options), client(t, other, { codec, ...there })]);
    return { connection, near: new End(connection, codec), far: new End(second, codec) };
  }
  if (place.program === 'stdio:') {
    const child = program(t, 'stdio:', { codec, ...there }, ['pipe', 'pipe', 'inherit', 'ipc']);
    const connection = await client(t, child, options);
    return { connection, near: new End(connection, codec), far: new FarEnd(child) };
  }
  if (place.program === 'systemd:') {
    const { endpoint, start } = await manager(t, { codec, ...there });
    const child = start();
    const connection = await client(t, endpoint, options);
    return { endpoint, connection, near: new End(connection, codec), far: new FarEnd(child), stop: child.stop, again: async () => new FarEnd(start()) };
  }
  const { accepted, ...made } = await hosted(t, { place, codec }, there);
  const connection = await client(t, made.endpoint, options);
  const near = new End(connection, codec);
  if (place.knocks) await near.say([CODECS[codec].make(0)]);
  const far = await accepted();
  if (place.knocks) await far.counted(1);
  return { ...made, connection, near, far, accepted, again: () => made.start().then(accepted) };
}

// What opens a socket and starts programs with it.
async function manager(t, options) {
  const listener = native.Listener.bind(`unix:${path.join(directory(t), 's')}`, { allow: {} });
  const fd = listener.duplicate();
  t.after(() => {
    native.closeFd(fd);
    listener.close();
  });
  const start = () => program(t, 'systemd:', options, ['ignore', 'inherit', 'inherit', fd, 'ipc'], { LISTEN_FDS: '1' });
  return { endpoint: listener.address, start };
}

module.exports = { End, FarEnd, OPERATIONS, open, hosted, client, program, joined, manager };
