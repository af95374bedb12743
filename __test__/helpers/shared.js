'use strict';
// A run directory of the test file's own, in which nothing is left at its end.

const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after } = require('node:test');
const { until } = require('./wait.js');

const directory = fs.mkdtempSync(path.join(os.tmpdir(), `rsipc-test-${process.pid}-`));
fs.chmodSync(directory, 0o700);
// Read when shared memory is first used, here and in every child.
process.env.RSIPC_RUN_DIR = directory;

// Names of what is in it: `x.shm` is the object x, `….bell` the bell of a waiting environment.
function names() {
  return fs.readdirSync(directory, { recursive: true }).map((name) => path.basename(String(name))).filter((name) => /\.(shm|bell)$/.test(name));
}

const objects = () => names().filter((name) => name.endsWith('.shm'));
const bells = () => names().filter((name) => name.endsWith('.bell'));

after(async () => {
  const own = bells().length;
  await until(() => bells().length <= Math.min(own, 1), 'the bells of others to be gone', 5_000).catch(() => {});
  const left = [...objects(), ...bells().slice(1)];
  fs.rmSync(directory, { recursive: true, force: true });
  assert.deepStrictEqual(left, [], 'objects or bells are still there');
});

let counter = 0;
// A name nobody else uses.
const unique = () => `t${process.pid}-${++counter}`;

// A record that tells of itself whether it is whole: its number, its length, and every byte from both.
function record(number, size = 12 + (number % 300)) {
  const bytes = Buffer.alloc(size, number & 0xff);
  bytes.writeUInt32LE(number, 0);
  bytes.writeUInt32LE(size, 4);
  return bytes;
}

function numberOf(bytes) {
  const number = bytes.readUInt32LE(0);
  assert.ok(bytes.equals(record(number, bytes.readUInt32LE(4))), `record ${number} is torn`);
  return number;
}

module.exports = { directory, names, objects, bells, unique, record, numberOf };
