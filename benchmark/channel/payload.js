'use strict';

// What this suite sends beyond the suite `fork`. Loaded by both processes.

const { readFileSync } = require('node:fs');
const path = require('node:path');
const { KINDS } = require('../fork/payload.js');

// As there: eight digits from the first message to the last.
const FIRST = 10_000_000;

/** Kinds by name; each is made when it is first asked for. */
const MAKERS = {
  '64 B, toJSON': () => told(KINDS['64 B']),
  '1 KiB nested, toJSON': () => told(KINDS['1 KiB nested']),
  '64 B, bare': () => bare(KINDS['64 B']),
  '64 B, numbered': () => numbered(64),
  '64 B, text': () => onlyText(64),
  'every key new': everyKeyNew,
  '1 MB string': () => whole(strings(), (text) => text.length),
  '10,000 keys': () => whole([maps(0), maps(1), maps(2)], (map) => Object.values(map.last)[0]),
  'package-lock.json': () => whole([packageLock()], (lock) => lock.packages[''].version),
  coordinates: () => whole([collection(1), collection(2), collection(3)], ({ features }) => features.at(-1).geometry.coordinates[0].at(-1)[0]),
};

for (const [name, make] of Object.entries(MAKERS)) {
  let kind;
  Object.defineProperty(KINDS, name, { enumerable: true, get: () => (kind ??= make()) });
}

/** A message that says itself what it is as JSON. What arrives is the plain one. */
class Told {
  constructor(plain) {
    this.plain = plain;
  }

  toJSON() {
    return this.plain;
  }
}

function told(kind) {
  return { ...kind, make: (index) => new Told(kind.make(index)) };
}

/** Without a prototype, which V8 keeps as a dictionary. */
function bare(kind) {
  return { ...kind, make: (index) => Object.assign(Object.create(null), kind.make(index)) };
}

/** With a key that is a number, which V8 keeps as an element of a list. */
function numbered(size) {
  const text = 'x'.repeat(size - JSON.stringify({ 0: FIRST, text: '' }).length);
  return {
    size,
    make: (index) => ({ 0: FIRST + index, text }),
    index: (message) => message.text.length === text.length ? message[0] - FIRST : -1,
  };
}

/** With a key of which the encoder makes no shape: each message travels as JSON text. */
function onlyText(size) {
  const text = 'x'.repeat(size - JSON.stringify({ ['__proto__']: FIRST, text: '' }).length);
  return {
    size,
    make: (index) => ({ ['__proto__']: FIRST + index, text }),
    index: (message) => message.text.length === text.length ? Object.values(message)[0] - FIRST : -1,
  };
}

/** Eight keys that no message before had, in this run or in the warm-up. */
function everyKeyNew() {
  const COUNT = 8;
  let serial = 0;
  return {
    size: 200,
    make(index) {
      const message = { seq: FIRST + index, serial: ++serial };
      for (let key = 0; key < COUNT; key++) message[`key ${key} of ${serial}`] = key % 2 === 0 ? serial + key : `value ${serial}`;
      return message;
    },
    index(message) {
      const { seq, serial: number } = message;
      const right = message[`key 0 of ${number}`] === number && message[`key ${COUNT - 1} of ${number}`] === `value ${number}`;
      return right && Object.keys(message).length === COUNT + 2 ? seq - FIRST : -1;
    },
  };
}

/**
 * Messages that carry one of a few large values in turn. The first time each is compared as a whole; of the others
 * only what `glance` sees, as comparing would otherwise be what is measured.
 */
function whole(values, glance) {
  const texts = values.map((value) => JSON.stringify(value));
  const glances = values.map(glance);
  return {
    size: texts[0].length,
    make: (index) => ({ seq: FIRST + index, body: values[index % values.length], last: FIRST + index }),
    index({ seq, body, last }) {
      const index = seq - FIRST;
      const which = index % values.length;
      if (last !== seq || glance(body) !== glances[which]) return -1;
      return index >= values.length || JSON.stringify(body) === texts[which] ? index : -1;
    },
  };
}

/** A megabyte of characters: ASCII with what JSON escapes, Latin-1, and beyond. */
function strings() {
  return ['a "quoted" line\n', 'grüße aus Köln ', 'ключ → 鍵 😀 '].map((text) => text.repeat(Math.floor(1e6 / text.length)));
}

/** A map of 10,000 keys; the last of them stands apart. */
function maps(variant) {
  const map = {};
  for (let key = 0; key < 10_000; key++) map[`${variant}-${(key * 7919) % 10_000}`] = key;
  map.last = { [`last of ${variant}`]: variant };
  return map;
}

function packageLock() {
  return JSON.parse(readFileSync(path.join(__dirname, '..', '..', 'package-lock.json'), 'utf8'));
}

/** What maps are made of: features with polygons of coordinates, 2,000 numbers in all. */
function collection(seed) {
  let state = seed;
  const random = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  return {
    type: 'FeatureCollection',
    features: Array.from({ length: 20 }, (_, id) => ({
      type: 'Feature',
      properties: { id, name: `area ${id}`, population: Math.floor(random() * 1e6) },
      geometry: { type: 'Polygon', coordinates: [Array.from({ length: 50 }, () => [random() * 360 - 180, random() * 180 - 90])] },
    })),
  };
}

module.exports = { KINDS };
