'use strict';

// How far the work is: a bar in place on a terminal, elsewhere a line at every tenth.

const { files, whole } = require('./format.js');

/** Milliseconds between two pictures of the bar. */
const REDRAW = 50;

class Progress {
  #stream;
  #current = '';
  #drawn = -Infinity;
  #tenths = 0;
  #began;

  constructor(stream) {
    this.#stream = stream;
  }

  /** A line that stays, above the bar. */
  print(line) {
    if (!this.#stream.isTTY) return this.#stream.write(`${line}\n`);
    this.#stream.write(`\r\x1b[K${line}\n${this.#current}`);
  }

  /** A passing remark, until the next line is printed; only on a terminal. */
  note(text) {
    this.#draw(text);
    this.#current = '';
  }

  show(done, total) {
    if (total === 0) return;
    this.#began ??= performance.now();
    if (!this.#stream.isTTY) return this.#line(done, total);
    const now = performance.now();
    if (done < total && now - this.#drawn < REDRAW) return;
    this.#drawn = now;
    // The bar is gone once it is full.
    this.#draw(done < total ? this.#bar(done, total) : '');
  }

  clear() {
    this.#draw('');
  }

  #draw(text) {
    if (!this.#stream.isTTY) return;
    // A line that wraps cannot be drawn over.
    this.#current = text.slice(0, Math.max(0, (this.#stream.columns || 80) - 1));
    this.#stream.write(`\r\x1b[K${this.#current}`);
  }

  #bar(done, total) {
    const figures = ` ${String(Math.floor((100 * done) / total)).padStart(3)} %  ${whole(done)} of ${files(total)}  ${whole(this.#rate(done))}/s`;
    const width = Math.max(4, Math.min(40, (this.#stream.columns || 80) - figures.length - 2));
    const filled = Math.floor((width * done) / total);
    return `${'█'.repeat(filled)}${'░'.repeat(width - filled)}${figures}`;
  }

  #line(done, total) {
    const tenths = Math.floor((10 * done) / total);
    if (tenths <= this.#tenths) return;
    this.#tenths = tenths;
    this.print(`${String(tenths * 10).padStart(3)} %  ${whole(done)} of ${files(total)}  ${whole(this.#rate(done))}/s`);
  }

  #rate(done) {
    return done / Math.max(0.001, (performance.now() - this.#began) / 1000);
  }
}

module.exports = { Progress };
