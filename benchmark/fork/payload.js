'use strict';

// What the scenarios send, and how the receiving end proves that it arrived whole and in order.
// Loaded by both processes, so that they cannot disagree about it.

// Eight digits from the first message to the last: every message of a kind has the same length.
const FIRST = 10_000_000;

const KINDS = {
  '64 B': small(64),
  '1 KiB nested': nested(1024),
  '64 KiB Buffer': bytes(64 * 1024),
  '1 MiB Buffer': bytes(1024 * 1024),
};

/** An object whose JSON text is `size` bytes long. */
function small(size) {
  const text = 'x'.repeat(size - JSON.stringify({ seq: FIRST, text: '' }).length);
  return {
    size,
    make: (index) => ({ seq: FIRST + index, text }),
    index: (message) => message.text.length === text.length ? message.seq - FIRST : -1,
  };
}

/** An order with lines: objects in arrays in objects. The number stands at both ends of the text. */
function nested(size) {
  const make = (index, note) => ({
    seq: FIRST + index,
    customer: { id: 4711, name: 'Ada Lovelace', address: { city: 'London', lines: ['12 St James\'s Square', 'SW1Y'] } },
    lines: Array.from({ length: 8 }, (_, row) => ({
      sku: `part-${row}`, count: row + 1, price: { net: 12.5 * (row + 1), currency: 'EUR' }, tags: ['new', 'fragile'], gift: row % 2 === 0,
    })),
    note,
    last: { seq: FIRST + index },
  });
  const note = 'x'.repeat(size - JSON.stringify(make(0, '')).length);
  // One object for all messages: `send` has to take its picture before it returns, as Node's does.
  const message = make(0, note);
  return {
    size,
    make(index) {
      message.seq = message.last.seq = FIRST + index;
      return message;
    },
    index: (m) => m.seq === m.last.seq && m.lines.length === 8 && m.note.length === note.length ? m.seq - FIRST : -1,
  };
}

/** A Buffer with the number at the start, in the middle and at the end. */
function bytes(size) {
  const marks = [0, size / 2, size - 4];
  const buffer = Buffer.alloc(size, 0xa5);
  return {
    size,
    make(index) {
      for (const mark of marks) buffer.writeUInt32LE(index, mark);
      return buffer;
    },
    index: (m) => m.length === size && marks.every((mark) => m.readUInt32LE(mark) === m.readUInt32LE(0)) ? m.readUInt32LE(0) : -1,
  };
}

/** Adds a number to a checksum that also depends on the order. */
function mix(checksum, index) {
  return (Math.imul(checksum, 31) + index) | 0;
}

/** What a receiver must report after `total` messages, none lost, doubled, damaged or out of order. */
function expected(total) {
  let checksum = 0;
  for (let index = 0; index < total; index++) checksum = mix(checksum, index);
  return { count: total, checksum };
}

/** Throws unless `report` is what `expected(total)` says. */
function verify(report, total) {
  const want = expected(total);
  if (report.count !== want.count || report.checksum !== want.checksum) {
    throw new Error(`the receiver got ${report.count} messages with checksum ${report.checksum}; sent were ${want.count} with ${want.checksum}`);
  }
}

/** Counts messages of one kind. */
class Tally {
  constructor(kind) {
    this.kind = kind;
    this.count = 0;
    this.checksum = 0;
  }

  add(message) {
    this.count++;
    this.checksum = mix(this.checksum, this.kind.index(message));
  }

  report() {
    return { count: this.count, checksum: this.checksum };
  }
}

module.exports = { KINDS, Tally, mix, verify };
