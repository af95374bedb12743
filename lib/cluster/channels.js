'use strict';
// In a primary: channels between two of its workers. It makes the pair, gives each worker an end, and has no part in what
// they say to each other.

const { node, rsipc } = require('../errors.js');
const { linkOf } = require('../fork/attach.js');
const { channelPair } = require('../fork/channel-end.js');
const { pack } = require('../fork/peer.js');

const MOST_WAITING = 1024; // questions of one worker that wait for another one to listen
const MOST_UNTAKEN = 256; // handles that a worker has been sent and has not taken yet

class Channels {
  #primary;
  #listening = new Set(); // workers that take channels
  #waiting = new Map(); // of a worker that does not yet: who asks, as { from, ticket, serialization }

  constructor(primary) {
    this.#primary = primary;
  }

  // What `lib/cluster/siblings.js` has sent from a worker.
  receive(worker, message) {
    const { act, ticket, to, on } = message;
    if (act === 'listens') {
      this.#listens(worker, on === true);
    } else if (!Number.isSafeInteger(ticket) || (act === 'connect' && !Number.isSafeInteger(to))) {
      this.#primary.accuse(worker, `its question '${act}' is not one`);
    } else if (act === 'siblings') {
      const others = Object.values(this.#primary.cluster.workers).filter((other) => other !== worker && other.isConnected());
      this.#answer(worker, ticket, { ids: others.map(({ id }) => id) });
    } else if (act === 'cancel') {
      this.#drop((question) => question.from === worker && question.ticket === ticket);
    } else if (act === 'connect') {
      this.#connect({ from: worker, ticket, serialization: message.serialization }, to);
    }
  }

  #connect(question, id) {
    const to = this.#primary.cluster.workers[id];
    if (to === undefined || to === question.from || !to.isConnected()) {
      this.#refuse(question, rsipc.noWorker(id));
    } else if (this.#listening.has(to)) {
      this.#give(question, to);
    } else if (this.#asked(question.from) >= MOST_WAITING) {
      this.#refuse(question, rsipc.tooManyRequests(MOST_WAITING));
    } else {
      const waiting = this.#waiting.get(to) ?? [];
      this.#waiting.set(to, waiting);
      waiting.push(question);
    }
  }

  #asked(from) {
    let count = 0;
    for (const waiting of this.#waiting.values()) count += waiting.filter((question) => question.from === from).length;
    return count;
  }

  #listens(worker, on) {
    if (!on) {
      this.#listening.delete(worker);
      return;
    }
    this.#listening.add(worker);
    const waiting = this.#waiting.get(worker) ?? [];
    this.#waiting.delete(worker);
    for (const question of waiting) this.#give(question, worker);
  }

  // Each descriptor is kept until its worker has taken it: one that takes none must not use up what there are.
  #give(question, to) {
    const { from, ticket, serialization } = question;
    const busy = [from, to].find((worker) => (linkOf(worker.process)?.unacknowledged ?? 0) >= MOST_UNTAKEN);
    if (busy !== undefined) {
      this.#refuse(question, rsipc.tooManyRequests(MOST_UNTAKEN));
      return;
    }
    let pair = [];
    try {
      pair = channelPair({ serialization });
      this.#send(to, { act: 'channel', id: from.id }, pair[1]);
      this.#answer(from, ticket, {}, pair[0]);
    } catch (error) {
      this.#refuse(question, error); // no descriptor is left, say
    } finally {
      for (const end of pair) end.close(); // unless it has been given away
    }
  }

  #refuse({ from, ticket }, error) {
    const { stack, ...rest } = pack(error); // the primary's, which says nothing to the worker
    this.#answer(from, ticket, { error: rest });
  }

  #answer(worker, ticket, fields, end) {
    this.#send(worker, { act: 'answer', ticket, ...fields }, end);
  }

  #send(worker, message, end) {
    if (!worker.isConnected()) {
      if (end !== undefined) throw node.channelClosed();
      return;
    }
    worker.process._send({ cmd: 'NODE_RSIPC_CLUSTER', ...message }, end, true);
  }

  #drop(gone) {
    for (const [worker, waiting] of this.#waiting) {
      const rest = waiting.filter((question) => !gone(question));
      if (rest.length > 0) this.#waiting.set(worker, rest);
      else this.#waiting.delete(worker);
    }
  }

  // The worker's channel is over.
  ended(worker) {
    this.#listening.delete(worker);
    this.#drop((question) => question.from === worker);
    const waiting = this.#waiting.get(worker) ?? [];
    this.#waiting.delete(worker);
    for (const question of waiting) this.#refuse(question, rsipc.peerGone(`worker ${worker.id}`, 'The channel'));
  }
}

module.exports = { Channels };
