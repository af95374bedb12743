'use strict';
// `rsipc logs NAME`: the end of a run's log, and what comes to it.

const fs = require('node:fs');
const path = require('node:path');
const { once } = require('node:events');
const { setTimeout: delay } = require('node:timers/promises');
const { ask } = require('./control.js');
const { UsageError, whole } = require('./options.js');
const { checkName, logOf } = require('./places.js');

const PIECE = 65_536;
const LOOK = 200; // how often a log is looked at that is followed, in ms
const PATIENCE = 2_000; // with a run that may be stopped
const NEWLINE = 10;

const usage = `usage: rsipc logs NAME [-f] [--lines N]

Prints the last lines of a run's log; also when the run has ended.

  -f, --follow     goes on with what comes, over to the next file too
  -l, --lines N    how many lines (20); all prints the whole file
      --log-dir DIR    where the log is, of a run that has ended and had its own
`;

// Where it was said to be, else where a run of that name would keep it.
async function find(name, directory) {
  if (directory !== undefined) return logOf(name, path.resolve(directory));
  try {
    const { log } = await ask(name, { does: 'status' }, { timeout: PATIENCE });
    if (log === undefined || log === null) throw new Error(`${name} keeps no log: it runs in a terminal, without --log-dir`);
    return log;
  } catch (error) {
    if (!['ERR_RSIPC_NOT_FOUND', 'ERR_RSIPC_TIMEOUT'].includes(error.code)) throw error;
    return logOf(name);
  }
}

// Where the last `count` lines begin.
function tail(fd, count) {
  const { size } = fs.fstatSync(fd);
  if (count === Infinity) return 0;
  const buffer = Buffer.alloc(PIECE);
  let left = count;
  for (let end = size; end > 0;) {
    const begin = Math.max(0, end - PIECE);
    const length = fs.readSync(fd, buffer, 0, end - begin, begin);
    for (let at = length - 1; at >= 0; at--) {
      if (buffer[at] !== NEWLINE || begin + at === size - 1) continue;
      if (--left <= 0) return begin + at + 1;
    }
    end = begin;
  }
  return 0;
}

// Prints from `position` on to the present end, which it answers.
async function print(fd, position) {
  const buffer = Buffer.alloc(PIECE);
  for (;;) {
    const length = fs.readSync(fd, buffer, 0, PIECE, position);
    if (length === 0) return position;
    position += length;
    if (!process.stdout.write(Buffer.from(buffer.subarray(0, length)))) await once(process.stdout, 'drain');
  }
}

function open(file) {
  try {
    return fs.openSync(file, 'r');
  } catch (error) {
    if (error.code === 'ENOENT') return -1;
    throw error;
  }
}

async function main({ options: { follow, lines = '20', 'log-dir': directory }, words: [name] }) {
  if (name === undefined) throw new UsageError('name a run', usage);
  const count = lines === 'all' ? Infinity : whole(lines, '--lines', 0);
  const file = await find(checkName(name), directory);
  let fd = open(file);
  if (fd === -1) throw new Error(`there is no log ${file}`);
  process.stdout.on('error', () => process.exit(0)); // `rsipc logs … | head`
  try {
    let position = await print(fd, count === 0 ? fs.fstatSync(fd).size : tail(fd, count));
    while (follow) {
      await delay(LOOK);
      const next = open(file);
      const moved = next !== -1 && fs.fstatSync(next).ino !== fs.fstatSync(fd).ino;
      position = await print(fd, position); // what came before it was turned over
      if (moved) {
        fs.closeSync(fd);
        fd = next;
        position = await print(fd, 0);
      } else if (next !== -1) {
        if (fs.fstatSync(next).size < position) position = 0; // it was emptied
        fs.closeSync(next);
      }
    }
  } finally {
    fs.closeSync(fd);
  }
  return 0;
}

module.exports = {
  summary: 'prints the log of a run',
  usage,
  options: { follow: { kind: 'flag', short: 'f' }, lines: { kind: 'value', short: 'l' }, 'log-dir': { kind: 'value' } },
  most: 1,
  main,
};
