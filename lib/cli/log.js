'use strict';
// A log file that is turned over when it is full: NAME.log, then NAME.log.1, NAME.log.2 … up to a number of files.
//
// It is written at once and not from a queue: what was written before a `kill -9` is there, a worker that writes faster
// than the disk has to wait, and nothing grows. A disk that is full loses lines, and the log says how many.

const fs = require('node:fs');
const path = require('node:path');

const PRIVATE = 0o600;
const RETRY = 1_000;

// A descriptor that writes to the end of a log. Never through a link: the directory may be one in which others write.
function open(file) {
  const { O_APPEND, O_CREAT, O_WRONLY, O_NOFOLLOW = 0 } = fs.constants;
  fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  return fs.openSync(file, O_APPEND | O_CREAT | O_WRONLY | O_NOFOLLOW, PRIVATE);
}

class Log {
  #file;
  #fd = -1;
  #size = 0;
  #most;
  #files;
  #lost = 0;
  #pausedUntil = 0;

  // `most`: bytes of a file; `files`: how many there may be.
  constructor(file, { most, files }) {
    this.#file = file;
    this.#most = most;
    this.#files = files;
    this.#open();
  }

  get file() {
    return this.#file;
  }

  // `label` is the number of a worker, or says that rsipc speaks.
  write(label, lines) {
    const begin = `${new Date().toISOString()} [${label}] `;
    const pieces = [];
    let length = 0;
    for (const line of lines) {
      const bytes = Buffer.isBuffer(line) ? line : Buffer.from(line);
      pieces.push(Buffer.from(begin), bytes, Buffer.from('\n'));
      length += begin.length + bytes.length + 1;
    }
    this.#put(pieces, length, lines.length);
  }

  #put(pieces, length, count) {
    if (this.#lost > 0 && Date.now() < this.#pausedUntil) {
      this.#lost += count;
      return;
    }
    try {
      if (this.#lost > 0) {
        const note = Buffer.from(`${new Date().toISOString()} [rsipc] ${this.#lost} lines could not be written\n`);
        this.#write(note);
        this.#lost = 0;
      }
      if (this.#size > 0 && this.#size + length > this.#most) this.#turn();
      this.#write(Buffer.concat(pieces));
    } catch {
      this.#lost += count;
      this.#pausedUntil = Date.now() + RETRY;
    }
  }

  #write(bytes) {
    if (this.#fd === -1) this.#open();
    for (let done = 0; done < bytes.length;) {
      const written = fs.writeSync(this.#fd, bytes, done);
      done += written;
      this.#size += written;
    }
  }

  #open() {
    this.#fd = open(this.#file);
    this.#size = fs.fstatSync(this.#fd).size;
  }

  #turn() {
    this.close();
    const name = (number) => (number === 0 ? this.#file : `${this.#file}.${number}`);
    for (let number = this.#files - 2; number >= 0; number--) {
      try {
        fs.renameSync(name(number), name(number + 1));
      } catch (error) {
        if (error.code !== 'ENOENT') throw error;
      }
    }
    if (this.#files === 1) fs.truncateSync(this.#file);
    this.#open();
  }

  close() {
    if (this.#fd !== -1) fs.closeSync(this.#fd);
    this.#fd = -1;
  }
}

module.exports = { Log, open };
