'use strict';

// Workers and the files they have in hand. A file belongs to one worker from sending to answer;
// when the worker dies, its files go back to the front of the queue.

const path = require('node:path');
const { printable } = require('./format.js');

const WORKER = path.join(__dirname, 'worker.js');

/** Files under way per worker: enough that it never waits for us, few enough that little is lost with it. */
const IN_HAND = 8;

/** How often a file may be sent before it is taken to be what kills the workers. */
const ATTEMPTS = 3;

class Pool {
  #fork;
  #files;
  #onAnswer;
  #workers = [];
  #waiting;
  #attempts = new Map();
  #answered = new Set();
  #finished;
  #resolve;
  #ending = false;

  /** Makes `run` reject. */
  fail;

  /** Called after every answer, and once before the first, with the number of files answered. */
  onStep = () => {};

  /** `files` are paths as Buffers; `onAnswer(path, answer)` is called once for each. */
  constructor({ fork, size, files, onAnswer }) {
    this.#fork = fork;
    this.#files = files;
    this.#onAnswer = onAnswer;
    // Taken from the end.
    this.#waiting = Array.from(files.keys()).reverse();
    this.#finished = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.fail = reject;
    });
    for (let count = 0; count < size; count++) this.#add();
  }

  pids() {
    return this.#workers.map(({ child }) => child.pid);
  }

  leastBusy() {
    return this.#workers.reduce((best, worker) => worker.inHand.size < best.inHand.size ? worker : best);
  }

  /** The worker with most files in hand among those that `allowed` lets through, if any has one. */
  busiest(allowed) {
    const busy = this.#workers.filter((worker) => worker.inHand.size > 0 && allowed(worker));
    return busy.sort((a, b) => b.inHand.size - a.inHand.size)[0];
  }

  /** What keeps us waiting: the oldest file in each worker's hand, or workers that do not end. */
  waitsFor() {
    if (this.#ending) {
      return this.#workers.filter(({ child }) => child.exitCode === null).map(({ child }) => ({ pid: child.pid, what: 'not ended' }));
    }
    return this.#workers.filter(({ inHand }) => inHand.size > 0).map(({ child, inHand }) => {
      const [oldest] = inHand;
      return { pid: child.pid, what: `not answered ${printable(this.#files[oldest].toString())}` };
    });
  }

  /** Resolves when every file is answered. */
  async run() {
    for (const worker of this.#workers) this.#fill(worker);
    this.#step();
    await this.#finished;
  }

  /** Kills a worker; `then(lost, replacement)` is called when another has taken its place. */
  kill(worker, then) {
    worker.killed = then;
    worker.child.kill('SIGKILL');
  }

  /** Lets all workers go; resolves when they have ended by themselves. */
  async end() {
    this.#ending = true;
    for (const { child } of this.#workers) child.disconnect();
    for (const { child, gone } of this.#workers) {
      await gone;
      if (child.exitCode !== 0) throw new Error(`worker ${child.pid} ended with ${child.signalCode ?? `code ${child.exitCode}`}`);
    }
  }

  #add() {
    const child = this.#fork(WORKER);
    const worker = { child, inHand: new Set(), full: false, keep: false, killed: undefined, gone: undefined };
    this.#workers.push(worker);
    child.on('message', (answer) => this.#take(worker, answer));
    child.on('error', this.fail);
    // Dead is not enough: what it answered before may still be in the channel. Only when that
    // has been read to its end are the files left over surely unanswered.
    worker.gone = Promise.all([
      new Promise((resolve) => child.once('exit', resolve)),
      new Promise((resolve) => child.once('disconnect', resolve)),
    ]);
    worker.gone.then(() => this.#replace(worker)).catch(this.fail);
    return worker;
  }

  #fill(worker) {
    while (!worker.full && worker.inHand.size < IN_HAND && this.#waiting.length > 0 && worker.child.connected) {
      const id = this.#waiting.pop();
      worker.inHand.add(id);
      this.#attempts.set(id, (this.#attempts.get(id) ?? 0) + 1);
      const room = worker.child.send({ type: 'file', id, path: this.#files[id].toString('latin1') }, () => {
        // Sent, or the worker is gone; then `#replace` looks after its files.
        if (worker.full) {
          worker.full = false;
          this.#fill(worker);
        }
      });
      // No room: nothing more for this worker until what it was sent has been written.
      worker.full = !room;
    }
  }

  #take(worker, { id, ...answer }) {
    if (!worker.inHand.delete(id) || this.#answered.has(id)) {
      return this.fail(new Error(`worker ${worker.child.pid} answered file ${id}, which it does not have`));
    }
    this.#answered.add(id);
    this.#onAnswer(this.#files[id], answer);
    this.#fill(worker);
    this.#step();
  }

  #step() {
    this.onStep(this.#answered.size);
    // A worker about to be replaced is waited for, even if it answered everything before it died.
    if (this.#answered.size === this.#files.length && !this.#workers.some(({ killed }) => killed)) this.#resolve();
  }

  #replace(worker) {
    if (this.#ending) return;
    const lost = [...worker.inHand];
    const worn = lost.find((id) => this.#attempts.get(id) >= ATTEMPTS);
    if (worn !== undefined) {
      throw new Error(`${ATTEMPTS} workers died with ${JSON.stringify(this.#files[worn].toString())} in hand`);
    }
    this.#workers.splice(this.#workers.indexOf(worker), 1);
    this.#waiting.push(...lost.reverse());
    const replacement = this.#add();
    worker.killed?.(lost.length, replacement.child);
    // The others may have run dry while these files had no owner.
    for (const each of this.#workers) this.#fill(each);
    this.#step();
  }
}

module.exports = { Pool };
