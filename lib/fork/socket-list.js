'use strict';
// The sockets of a server that live in another process, so that `server.close()` and
// `server.getConnections()` stay true after a connection was handed over.
//
// One list a server key at each end: the sender asks, the receiver counts.

const EventEmitter = require('node:events');
const { node } = require('../errors.js');

// At the process that gave sockets away; registered with the server by `_setupWorker`.
class SentSockets extends EventEmitter {
  #waiting;

  // `waiting`: who gets to see the peer's replies.
  constructor(target, key, waiting) {
    super();
    this.target = target;
    this.key = key;
    this.#waiting = waiting;
    target.once('exit', () => this.emit('exit', this));
  }

  #ask(cmd, answer, swallowErrors, callback) {
    const { target, key } = this;
    const settle = (error, message) => {
      target.removeListener('disconnect', onDisconnect);
      this.#waiting.delete(onMessage);
      callback(error, message);
    };
    const onDisconnect = () => settle(node.childClosedBeforeReply());
    const onMessage = (message) => {
      if (message.cmd === answer && message.key === key) settle(null, message);
    };
    if (!target.connected) {
      onDisconnect();
      return;
    }
    target.once('disconnect', onDisconnect);
    this.#waiting.add(onMessage);
    target._send({ cmd, key }, undefined, swallowErrors);
  }

  // Calls back once every socket has been closed over there.
  close(callback) {
    this.#ask('NODE_SOCKET_NOTIFY_CLOSE', 'NODE_SOCKET_ALL_CLOSED', true, callback);
  }

  getConnections(callback) {
    this.#ask('NODE_SOCKET_GET_COUNT', 'NODE_SOCKET_COUNT', false, (error, message) => {
      if (error) callback(error);
      else callback(null, Number.isSafeInteger(message.count) ? message.count : 0);
    });
  }
}

// At the process that was given sockets.
class ReceivedSockets extends EventEmitter {
  #unwritten = new Set(); // answers that the kernel has not taken
  #again = new Set(); // of these, those that were asked for once more meanwhile

  constructor(target, key) {
    super();
    this.target = target;
    this.key = key;
    this.connections = 0;
  }

  answer(cmd) {
    if (cmd === 'NODE_SOCKET_NOTIFY_CLOSE') {
      if (this.connections === 0) this.#say('NODE_SOCKET_ALL_CLOSED', cmd);
      else if (this.listenerCount('empty') === 0) this.once('empty', () => this.#say('NODE_SOCKET_ALL_CLOSED', cmd));
    } else if (cmd === 'NODE_SOCKET_GET_COUNT') {
      this.#say('NODE_SOCKET_COUNT', cmd, { count: this.connections });
    }
  }

  // One answer of a kind waits at a time, or a peer that asks and never reads would fill the memory with them: an
  // answer is for all who have asked before it, and who asks while one waits gets a newer one behind it.
  #say(cmd, question, fields) {
    const { target, key } = this;
    if (!target.connected) return;
    if (this.#unwritten.has(cmd)) {
      this.#again.add(cmd);
      return;
    }
    this.#unwritten.add(cmd);
    target._send({ cmd, key, ...fields }, undefined, true, () => {
      this.#unwritten.delete(cmd);
      if (this.#again.delete(cmd)) this.answer(question);
    });
  }

  add(socket) {
    this.connections++;
    socket.once('close', () => {
      if (--this.connections === 0) this.emit('empty', this);
    });
  }
}

// Lists without sockets that are kept for questions to come.
const MAX_EMPTY = 1_024;
// A key names an address, so a longer one is none. Each list keeps its key, and each answer repeats it.
const MAX_KEY = 1_024;

// The lists of one channel. Keys come from the peer, so they live in maps, and not for ever.
class SocketLists {
  #sent = new Map();
  #received = new Map();
  #waiting = new Set();

  constructor(target) {
    this.target = target;
  }

  // Takes the lists that Node kept while the channel was its own. They go on asking and answering by themselves.
  adopt({ got, send }) {
    for (const [key, list] of Object.entries(send)) this.#sent.set(key, list);
    for (const [key, list] of Object.entries(got)) {
      this.#received.set(key, { connections: 1, answer() {}, add: (socket) => list.add({ socket }) });
    }
  }

  // The list for sockets of `server`; the server learns of it with the first one.
  sentFor(server) {
    const key = server._connectionKey;
    let list = this.#sent.get(key);
    if (list === undefined) {
      list = new SentSockets(this.target, key, this.#waiting);
      this.#sent.set(key, list);
      server._setupWorker(list);
    }
    return list;
  }

  // Counts a socket that came with `key`.
  received(key, socket) {
    if (typeof key !== 'string' || key === '' || key.length > MAX_KEY) return;
    let list = this.#received.get(key);
    if (list === undefined) {
      if (this.#received.size >= MAX_EMPTY) this.#forgetEmpty();
      list = new ReceivedSockets(this.target, key);
      this.#received.set(key, list);
    }
    list.add(socket);
  }

  #forgetEmpty() {
    for (const [key, list] of this.#received) {
      if (list.connections === 0) this.#received.delete(key);
    }
  }

  // A question about sockets the peer gave us, or its reply about ours.
  receive(message) {
    this.#received.get(message.key)?.answer(message.cmd);
    for (const onMessage of this.#waiting) onMessage(message);
  }
}

module.exports = { SocketLists };
