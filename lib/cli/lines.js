'use strict';
// Cuts what a worker writes into lines.

const NEWLINE = 10;
const LONGEST = 65_536; // of a line; a longer one is shown in pieces

// `take` is called with an array of lines, as bytes without their ends.
class Lines {
  #take;
  #rest = [];
  #length = 0;

  constructor(take) {
    this.#take = take;
  }

  write(chunk) {
    const lines = [];
    let begin = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, begin)) {
      lines.push(this.#with(chunk.subarray(begin, end)));
      begin = end + 1;
    }
    if (begin < chunk.length) {
      this.#rest.push(chunk.subarray(begin));
      this.#length += chunk.length - begin;
      if (this.#length >= LONGEST) lines.push(this.#with());
    }
    if (lines.length > 0) this.#take(lines);
  }

  end() {
    if (this.#length > 0) this.#take([this.#with()]);
  }

  #with(piece) {
    if (this.#length === 0) return piece;
    if (piece !== undefined) this.#rest.push(piece);
    const whole = Buffer.concat(this.#rest);
    this.#rest = [];
    this.#length = 0;
    return whole;
  }
}

module.exports = { Lines };
