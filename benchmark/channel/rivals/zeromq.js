'use strict';

// zeromq, PUSH and PULL sockets over `ipc:`, one each way: with a PAIR that sends and receives, a send that had to wait
// is now and then never told that there is room. It allows one send at a time, so messages wait their turn in a queue
// here. Objects travel as JSON text, Buffers as they are.

const childProcess = require('node:child_process');
const { EventEmitter } = require('node:events');
const { rmSync } = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { KINDS } = require('../payload.js');
const { begin, end, next, pin } = require('../../fork/peer.js');

const { Pull, Push } = require(path.join(__dirname, '..', '..', '..', '.cache', 'rivals', 'node_modules', 'zeromq'));

const CHILD = path.join(__dirname, '..', 'child.js');

/** Messages waiting here from which `send` returns false. */
const QUEUE = 64;

/** From this size on a frame is a Buffer of the scenario, and not the text of a report. */
const LARGE = 4_096;

class Link extends EventEmitter {
  constructor({ size }) {
    super();
    const mark = size >= LARGE ? 16 : 1_000; // fewer of the large ones, so that less memory is passed through
    this.out = new Push({ sendHighWaterMark: mark });
    this.in = new Pull({ receiveHighWaterMark: mark });
    this.queue = [];
    this.pumping = false;
    // zeromq sends a Buffer from where it lies, some time later: copies in turn, more than can be under way.
    this.copies = size >= LARGE ? Array.from({ length: QUEUE + 2 * mark }, () => Buffer.alloc(size)) : [];
    this.turn = 0;
  }

  send(message, callback) {
    this.queue.push({ frame: Buffer.isBuffer(message) ? this.copy(message) : JSON.stringify(message), callback });
    if (!this.pumping) this.pump();
    return this.queue.length < QUEUE;
  }

  copy(buffer) {
    const copy = this.copies[this.turn++ % this.copies.length];
    buffer.copy(copy);
    return copy;
  }

  async pump() {
    this.pumping = true;
    for (let entry = this.queue.shift(); entry; entry = this.queue.shift()) {
      await this.out.send(entry.frame);
      entry.callback?.();
    }
    this.pumping = false;
  }

  async receive() {
    for await (const [frame] of this.in) {
      this.emit('message', this.copies.length > 0 && frame.length >= LARGE ? frame : JSON.parse(frame.toString()));
    }
  }

  close() {
    this.out.close();
    this.in.close();
  }
}

let opened = 0;

function contender({ childCpu }) {
  return {
    async start([role, kindName], options) {
      const place = path.join(os.tmpdir(), `rsipc-bench-${process.pid}-${++opened}`);
      const [there, back] = addresses(place);
      const link = new Link(KINDS[kindName]);
      await link.out.bind(`ipc://${there}`);
      await link.in.bind(`ipc://${back}`);
      link.receive();
      const child = begin(childProcess.fork, CHILD, [path.basename(__filename), role, kindName, place], options);
      await next(link);
      for (const file of [there, back]) rmSync(file, { force: true });
      pin(child.pid, childCpu);
      return Object.assign(link, { child });
    },
    async end(link) {
      await end(link.child);
      link.close();
    },
  };
}

/** Where the child listens to the parent, and the parent to the child. */
function addresses(place) {
  return [`${place}-there.zmq`, `${place}-back.zmq`];
}

/** The child's end. */
function join(place, kind) {
  const [there, back] = addresses(place);
  const link = new Link(kind);
  link.out.connect(`ipc://${back}`);
  link.in.connect(`ipc://${there}`);
  link.receive();
  process.on('disconnect', () => link.close());
  return link;
}

module.exports = { contender, join };
