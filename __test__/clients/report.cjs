'use strict';

// The one form in which all clients report: a list of cases (name, status, detail) and notes
// (anything else that must agree, such as console output). What may rightly differ between two
// runs (process ids, the run's own folder) is taken out here and nowhere else.

const { createHash } = require('node:crypto');
const { writeFileSync } = require('node:fs');
const { inspect, stripVTControlCharacters } = require('node:util');

const LONGEST_DETAIL = 1000;

function scrub(text) {
  return stripVTControlCharacters(String(text))
    .replaceAll(process.env.CLIENTS_RUN, '<run>')
    .replace(/\bpid[= ]\d+/g, 'pid=<pid>');
}

/** Text short enough to read in a report; a longer one is replaced by its digest. */
function brief(text) {
  const clean = scrub(text);
  if (clean.length <= LONGEST_DETAIL) return clean;
  return `${clean.slice(0, 80)}… ${clean.length} characters, sha256 ${digest(clean)}`;
}

/** An error's message without its stack, whose frames belong to the runner and not to the test. */
function messageOf(text) {
  return brief(String(text).split(/\n\s+at /)[0]);
}

function digest(text) {
  return createHash('sha256').update(text).digest('hex');
}

/** A value as text in which every difference of type or content shows. */
function show(value) {
  // A view is its own bytes; what else lies in the buffer is whatever the message brought along.
  if (ArrayBuffer.isView(value)) {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    return `${value.constructor.name} of ${bytes.length} bytes, sha256 ${digest(bytes)}`;
  }
  return brief(inspect(value, {
    depth: Infinity,
    maxArrayLength: Infinity,
    maxStringLength: Infinity,
    sorted: true,
    breakLength: Infinity,
  }));
}

class Report {
  #cases = [];
  #notes = {};

  add(name, status, detail = '') {
    this.#cases.push({ name, status, detail });
  }

  note(name, value) {
    if (name in this.#notes) throw new Error(`two notes are called ${name}`);
    this.#notes[name] = value;
  }

  write() {
    // Workers finish in any order; the order of names does not.
    this.#cases.sort((a, b) => (a.name < b.name ? -1 : 1));
    writeFileSync(process.env.CLIENTS_REPORT, JSON.stringify({ cases: this.#cases, notes: this.#notes }));
  }
}

module.exports = { Report, brief, digest, messageOf, scrub, show };
