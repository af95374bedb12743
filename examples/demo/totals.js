'use strict';

// What was counted, by whomever, and how two counts differ.

const { createHash } = require('node:crypto');
const { countFile } = require('./count.js');
const { printable, megabytes, whole } = require('./format.js');
const { walk } = require('./walk.js');

/** How many files are named when two counts differ. */
const NAMED = 5;

class Totals {
  files = 0;
  bytes = 0;
  words = 0;
  unreadable = 0;
  #answers = new Map();

  /** Takes the answer for one file. A file that comes twice is counted twice, and so is noticed. */
  add(path, answer) {
    this.files++;
    this.#answers.set(path.toString('latin1'), answer);
    if (answer.error !== undefined) {
      this.unreadable++;
      return;
    }
    this.bytes += answer.bytes;
    this.words += answer.words;
  }

  /** SHA-256 over the sorted list of the files' own. */
  digest() {
    const list = [...this.#answers.values()].filter(({ error }) => error === undefined).map(({ sha256 }) => sha256).sort();
    return createHash('sha256').update(list.join('\n')).digest('hex');
  }

  describe() {
    const lines = [
      `files ${whole(this.files)} · bytes ${whole(this.bytes)} (${megabytes(this.bytes)}) · words ${whole(this.words)}`,
      `digest ${this.digest()}`,
    ];
    if (this.unreadable > 0) {
      const [path, { error }] = [...this.#answers].find(([, answer]) => answer.error !== undefined);
      lines.push(`files that could not be read: ${whole(this.unreadable)}, such as ${readable(path)} (${error})`);
    }
    return lines.join('\n');
  }

  /** Lines that say in what `other` differs; none if it does not. */
  differences(other) {
    const lines = [];
    for (const name of ['files', 'bytes', 'words', 'unreadable']) {
      if (this[name] !== other[name]) lines.push(`${name}: ${whole(this[name])} by workers, ${whole(other[name])} by one process`);
    }
    if (this.digest() !== other.digest()) lines.push('the digests differ');
    if (lines.length === 0) return lines;
    const paths = new Set([...this.#answers.keys(), ...other.#answers.keys()]);
    const changed = [...paths].filter((path) => !same(this.#answers.get(path), other.#answers.get(path)));
    lines.push(...changed.slice(0, NAMED).map(readable));
    if (changed.length > NAMED) lines.push(`and ${whole(changed.length - NAMED)} more`);
    return lines;
  }
}

function same(a, b) {
  return a?.sha256 === b?.sha256 && a?.error === b?.error;
}

function readable(path) {
  return printable(Buffer.from(path, 'latin1').toString());
}

/** The same count in this process alone, from looking for the files on. */
async function countHere(folder) {
  const totals = new Totals();
  const { files } = await walk(folder);
  for (const file of files) totals.add(file, await countFile(file));
  return totals;
}

module.exports = { Totals, countHere };
