// The command line of the benchmarks: `node benchmark/run.mjs fork`, `ring`, `channel`, `server` or `cluster`.

import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { describe, heading, load } from './machine.mjs';
import { markdown, summarize } from './report.mjs';
import { cores, runRounds, stop } from './rounds.mjs';

const SUITES = { fork: './fork/suite.mjs', ring: './ring/suite.mjs', channel: './channel/suite.mjs', server: './server/suite.mjs', cluster: './cluster/suite.mjs' };

const HELP = `usage: npm run bench -- <suite> [options]

suites
  fork             the fork channel beside node:child_process, an unmodified Node child at the other end
  ring             records through shared memory beside the same channel, and beside memcpy
  channel          the fork channel with rsipc at both ends, beside Node's, a socket by hand, zeromq and MessagePort
  server           serve and connect beside node:net by hand, node-ipc and zeromq
  cluster          an HTTP server of two workers under load from wrk, beside node:cluster

options
  --rounds N       rounds to take medians of (default 7, for channel and server 5; with --quick 3)
  --quick          fewer messages and rounds: faster, more noise
  --only TEXT      only scenarios whose name contains TEXT
  --json FILE      also write every value of every round to FILE
  --module NAME    measure this module as rsipc: a name or a path (default: this checkout);
                   node:child_process on both sides shows the noise
  --check          exit with 1 when a target is missed
  --help           this text

A scenario that fails (a message lost, damaged, doubled or out of order, a crash) always makes the exit code 1.
`;

function usage(message) {
  process.stderr.write(`${message}\n\n${HELP}`);
  process.exit(2);
}

function options() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        rounds: { type: 'string' },
        quick: { type: 'boolean', default: false },
        only: { type: 'string', default: '' },
        json: { type: 'string' },
        module: { type: 'string' },
        check: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    return usage(error.message);
  }
}

/** A name that `require` understands from anywhere; ends the program if nothing is there. */
function resolveModule(name) {
  const checkout = fileURLToPath(new URL('..', import.meta.url));
  const wanted = name === undefined ? checkout : /^\.{0,2}[/\\]/.test(name) ? path.resolve(name) : name;
  const require = createRequire(import.meta.url);
  try {
    require(wanted);
    return wanted;
  } catch (error) {
    process.stderr.write(`cannot load ${name ?? 'rsipc from this checkout; build it first with `npm run build`'}\n${error.message}\n`);
    return process.exit(2);
  }
}

const { values, positionals } = options();
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
if (positionals.length !== 1 || !Object.hasOwn(SUITES, positionals[0])) usage('name one suite');
const suite = await import(SUITES[positionals[0]]);
const rounds = values.rounds === undefined ? (values.quick ? 3 : suite.rounds ?? 7) : Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1) usage('--rounds wants a whole number of at least 1');

const scenarios = suite.scenarios.filter(({ name }) => name.includes(values.only));
if (scenarios.length === 0) usage(`no scenario's name contains ${JSON.stringify(values.only)}`);

const moduleName = resolveModule(values.module);
const notes = suite.prepare?.(scenarios) ?? [];
const pair = cores();
const tty = process.stderr.isTTY;
const erase = tty ? '\r\x1b[K' : '';

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    process.stderr.write(`${erase}stopped\n`);
    stop();
    process.exit(signal === 'SIGINT' ? 130 : 143);
  });
}

if (load > 0.5) process.stderr.write(`other programs keep this machine busy (load ${load.toFixed(1)}): expect noise\n`);

const results = await runRounds({
  suite, scenarios, moduleName, rounds, quick: values.quick, pair,
  progress(round, { name }) {
    if (tty) process.stderr.write(`${erase}round ${round + 1} of ${rounds}: ${name}`);
    else if (name === scenarios[0].name) process.stderr.write(`round ${round + 1} of ${rounds}\n`);
  },
});
process.stderr.write(erase);

const about = describe({
  command: ['npm run bench --', ...process.argv.slice(2)].join(' '),
  // A path says nothing to a reader on another machine.
  moduleName: values.module ?? 'this checkout',
  rounds, pair,
});
// A suite with more than one rival has a table of its own.
const table = suite.table ?? { summarize, markdown };
const rows = results.flatMap(table.summarize);
process.stdout.write(`${[heading(about), table.markdown(rows, suite.rival?.name), ...notes].join('\n\n')}\n`);
if (values.json) writeFileSync(values.json, `${JSON.stringify({ about, notes, rows }, null, 2)}\n`);

const failed = rows.some((row) => row.error);
const missed = rows.some((row) => row.met === false);
process.exitCode = failed || (values.check && missed) ? 1 : 0;
