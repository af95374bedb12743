'use strict';
// Where a run writes what happens and what its workers say: plain lines, a screen with a table below them, a log.
//
// Each has `line(text)`, `output(place, stream, lines, flow)` and `close()`.

const { headLine, workerLines } = require('./view.js');

const FRAME = 500; // the screen is drawn at most that often, in ms
const MOST_PENDING = 256 * 1024; // bytes that wait for the next frame

const prefixed = (label, lines) => Buffer.concat(lines.flatMap((line) => [Buffer.from(`[${label}] `), Buffer.from(line), Buffer.from('\n')]));

// What a worker writes to its stdout goes to ours, and so with stderr. One that nobody reads makes the workers wait.
class Plain {
  #held = new Set();

  line(text) {
    process.stderr.write(`[rsipc] ${text}\n`);
  }

  output(place, stream, lines, flow) {
    const to = process[stream];
    if (to.write(prefixed(place, lines))) return;
    flow.hold();
    if (this.#held.size === 0) {
      to.once('drain', () => {
        for (const go of this.#held) go();
        this.#held.clear();
      });
    }
    this.#held.add(flow.go);
  }

  close() {}
}

// The lines run upwards, and the table stays below them.
class Screen {
  #status;
  #shown = 0; // lines of the table on the screen
  #pending = [];
  #bytes = 0;
  #timer;

  constructor(status) {
    this.#status = status;
    this.#timer = setInterval(() => this.#draw(), FRAME);
  }

  line(text) {
    this.#add(prefixed('rsipc', [text]));
  }

  output(place, stream, lines) {
    if (stream === 'stderr' && !process.stderr.isTTY) process.stderr.write(prefixed(place, lines));
    else this.#add(prefixed(place, lines));
  }

  #add(bytes) {
    this.#pending.push(bytes);
    this.#bytes += bytes.length;
    if (this.#bytes > MOST_PENDING) this.#flush([]);
  }

  #draw() {
    const { columns = 80, rows = 24 } = process.stdout;
    const status = this.#status();
    const table = workerLines(status.workers);
    const room = Math.max(2, rows - 4);
    const seen = table.length > room ? [...table.slice(0, room - 1), `… ${table.length - room + 1} more: rsipc ps ${status.name}`] : table;
    const lines = ['', headLine(status), ...seen].map((line) => line.slice(0, columns - 1));
    if (process.env.NO_COLOR === undefined) {
      lines[1] = `\x1b[1m${lines[1]}\x1b[22m`;
      lines[2] = `\x1b[2m${lines[2]}\x1b[22m`;
    }
    this.#flush(lines);
  }

  // One write for all: no frame is seen half.
  #flush(lines) {
    const erase = this.#shown > 0 ? `\x1b[${this.#shown}F\x1b[J` : '';
    const text = lines.map((line) => `${line}\n`).join('');
    process.stdout.write(Buffer.concat([Buffer.from(erase), ...this.#pending, Buffer.from(text)]));
    this.#pending = [];
    this.#bytes = 0;
    this.#shown = lines.length;
  }

  close() {
    clearInterval(this.#timer);
    this.#flush([]);
  }
}

class ToLog {
  #log;

  constructor(log) {
    this.#log = log;
  }

  line(text) {
    this.#log.write('rsipc', [text]);
  }

  output(place, stream, lines) {
    this.#log.write(place, lines);
  }

  close() {
    this.#log.close();
  }
}

module.exports = { Plain, Screen, ToLog };
