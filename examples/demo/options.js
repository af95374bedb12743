'use strict';

// The demo's command line.

const { statSync } = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { parseArgs } = require('node:util');

const HELP = `usage: node examples/demo/index.js [folder] [options]

Counts the words and the SHA-256 of every file under a folder (default: the node_modules of this
checkout) in one plain Node worker per core, hands one of them a TCP connection, kills one half-way,
checks the result against a count by a single process, and ends with a table of messages per second.
Symbolic links are not followed; what cannot be read is reported and skipped.

options
  --workers N      number of workers, at least 2 (default: one per core)
  --no-rates       leave out the table at the end
  --module NAME    take fork from this module: a name or a path (default: this checkout)
  -h, --help       this text

exit code: 0 when both counts are equal, 1 when not or on failure, 2 on wrong usage
`;

const CHECKOUT = path.join(__dirname, '..', '..');

/** The options, or the end of the process: for --help, or with code 2 and the reason. */
function readOptions(argv) {
  let parsed;
  try {
    parsed = parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        workers: { type: 'string' },
        'no-rates': { type: 'boolean', default: false },
        module: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    refuse(error.message);
  }
  const { values, positionals } = parsed;
  if (values.help) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  if (positionals.length > 1) refuse('one folder at most');
  return {
    folder: folder(positionals[0]),
    workers: workers(values.workers),
    rates: !values['no-rates'],
    fork: load(values.module).fork,
    name: values.module ?? 'rsipc',
  };
}

function folder(given) {
  const chosen = path.resolve(given ?? path.join(CHECKOUT, 'node_modules'));
  let stats;
  try {
    stats = statSync(chosen);
  } catch (error) {
    const advice = given === undefined ? '; run npm install, or name a folder' : '';
    refuse(`cannot look into ${JSON.stringify(chosen)}: ${error.code}${advice}`);
  }
  if (!stats.isDirectory()) refuse(`${JSON.stringify(chosen)} is not a folder`);
  return chosen;
}

/** Two at least, so that work goes on while one is dead. */
function workers(given) {
  if (given === undefined) return Math.max(2, os.availableParallelism());
  const number = Number(given);
  if (!Number.isInteger(number) || number < 2 || number > 256) refuse('--workers wants a whole number from 2 to 256');
  return number;
}

function load(name) {
  const isPath = name !== undefined && (path.isAbsolute(name) || /^\.{1,2}([/\\]|$)/.test(name));
  try {
    return name === undefined ? require('../..') : require(isPath ? path.resolve(name) : name);
  } catch (error) {
    return refuse(`cannot load ${name ?? 'rsipc from this checkout; build it with: npm run build'}\n${error.message}`);
  }
}

function refuse(reason) {
  process.stderr.write(`${reason}\n(--help shows the options)\n`);
  process.exit(2);
}

module.exports = { readOptions };
