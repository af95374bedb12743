'use strict';

// What workerpool's child processes offer: the common work, and tasks that deal with the worker itself.

const fs = require('node:fs');
const path = require('node:path');
const { setTimeout: delay } = require('node:timers/promises');
const workerpool = require('workerpool');
const work = require('../work.cjs');

const mark = (name) => path.join(process.env.CLIENTS_RUN, name);

workerpool.worker({
  ...work,

  pid() {
    return process.pid;
  },

  exit({ code }) {
    process.exit(code);
  },

  kill() {
    process.kill(process.pid, 'SIGKILL');
    for (;;);
  },

  /** Takes its worker down at the first try and answers at the second. */
  exitOnce({ name, value }) {
    if (fs.existsSync(mark(name))) return value;
    fs.writeFileSync(mark(name), '');
    process.exit(9);
  },

  /** Sends events while it works. */
  async count({ to }) {
    for (let n = 0; n < to; n += 1) {
      workerpool.workerEmit({ n, text: 'é'.repeat((n * n) % 3000) });
      if (n % 100 === 99) await delay(1);
    }
    return to;
  },

  /** Never ends, and stays alive when it is given up. */
  patient() {
    this.worker.addAbortListener(async () => workerpool.workerEmit('given up'));
    return new Promise(() => {});
  },

  async print({ out, err }) {
    process.stdout.write(out);
    process.stderr.write(err);
    // The output comes by a pipe and counts only while the task runs.
    await delay(500);
    return 'printed';
  },
}, {
  onTerminate() {
    fs.appendFileSync(mark('terminated'), 'terminated\n');
  },
});
