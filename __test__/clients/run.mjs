// Proof that programs people run behave the same with rsipc preloaded. Every client runs its
// suite plainly, then with `-r rsipc/register`, then with `--import rsipc/register`; the reports
// must agree case by case. Started by ci/clients.sh, which installs the clients.
//
//   node __test__/clients/run.mjs [--register <file>] [--only <part of a client's name>]

import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { count, differentDetails, differentNotes, differentStatuses, repeated, unannounced } from './compare.mjs';
import { killAll, launch } from './launch.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const checkout = path.resolve(here, '../..');
const installed = path.join(checkout, '.cache/clients');

const { values: options } = parseArgs({
  options: {
    register: { type: 'string', default: path.join(checkout, 'register.js') },
    only: { type: 'string', default: '' },
  },
});
const register = path.resolve(options.register);

// A run that takes longer than this hangs; the slowest takes a tenth of it on an idle machine.
const LIMIT = 120_000;

// Pieces of evidence printed for a fact that does not hold.
const SHOWN = 10;

const CLIENTS = [
  {
    name: 'vitest',
    args: ['node_modules/vitest/vitest.mjs', 'run', '--config', 'suites/vitest/vitest.config.mjs'],
    code: 1,
  },
  {
    name: 'jest, 2 workers',
    args: ['node_modules/jest/bin/jest.js', '--config', 'suites/jest/jest.config.js', '--maxWorkers=2'],
    code: 1,
  },
  {
    name: 'jest, 3 workers, restarted',
    args: ['node_modules/jest/bin/jest.js', '--config', 'suites/jest/jest.config.js', '--maxWorkers=3',
      // Any worker is above this after a file, so each is asked for its memory and then replaced.
      '--workerIdleMemoryLimit=1MB'],
    code: 1,
  },
  { name: 'tinypool', args: ['suites/tinypool/main.mjs'], code: 0 },
  { name: 'workerpool', args: ['suites/workerpool/main.js'], code: 0 },
].filter(({ name }) => name.includes(options.only));

const WAYS = [
  { name: 'plain', preload: [] },
  { name: '-r', preload: ['-r', register] },
  { name: '--import', preload: ['--import', pathToFileURL(register).href] },
];

let passed = 0;
const failures = [];

/** One fact. `evidence` lists what speaks against it. */
function check(fact, evidence) {
  if (evidence.length === 0) passed += 1;
  else failures.push({ fact, evidence });
}

function printFailures() {
  for (const { fact, evidence } of failures) {
    console.log(`\nFAILED: ${fact}`);
    for (const piece of evidence.slice(0, SHOWN)) console.log(piece.replace(/^/gm, '    '));
    if (evidence.length > SHOWN) console.log(`    … and ${evidence.length - SHOWN} more`);
  }
}

const home = path.join(installed, `run-${process.pid}`);

/**
 * Every run has the same layout and nothing of the run before: the suites beside the installed
 * modules, a folder for temporary files that must be empty at the end.
 */
async function runOnce(client, way) {
  rmSync(home, { recursive: true, force: true });
  const temporary = path.join(home, 'tmp');
  mkdirSync(temporary, { recursive: true });
  cpSync(here, path.join(home, 'suites'), { recursive: true });
  const reportFile = path.join(home, 'report.json');
  const journalFile = path.join(home, 'journal');
  const { PATH, HOME } = process.env;
  const args = client.args.map((arg) => (arg.startsWith('node_modules/') ? path.join(installed, arg) : arg));
  const end = await launch([...way.preload, '-r', path.join(here, 'witness.cjs'), ...args], {
    cwd: home,
    limit: LIMIT,
    env: {
      PATH,
      HOME,
      CI: '1',
      NO_COLOR: '1',
      TMPDIR: temporary,
      CLIENTS_RUN: home,
      CLIENTS_REPORT: reportFile,
      CLIENTS_JOURNAL: journalFile,
    },
  });
  return {
    ...end,
    report: existsSync(reportFile) ? JSON.parse(readFileSync(reportFile, 'utf8')) : undefined,
    channels: existsSync(journalFile)
      ? readFileSync(journalFile, 'utf8').trim().split('\n').map((line) => JSON.parse(line))
      : [],
    temporary: readdirSync(temporary),
  };
}

/** What must hold for each run by itself. */
function checkRun(title, client, run) {
  check(`${title}: the program ends by itself`, run.hung ? [`killed after ${LIMIT} ms`, run.output.slice(-2000)] : []);
  check(`${title}: the exit code is ${client.code}`, run.code === client.code
    ? [] : [`code ${run.code}, signal ${run.signal}`, run.output.slice(-4000)]);
  check(`${title}: no process is left behind`, run.left);
  check(`${title}: no temporary file is left behind`, run.temporary);
  check(`${title}: a report of at least 200 cases is written`, run.report?.cases.length >= 200
    ? [] : [`${run.report?.cases.length ?? 'no'} cases`, run.output.slice(-4000)]);
  if (!run.report) return;
  check(`${title}: every case has a name of its own`, repeated(run.report));
  check(`${title}: every case ends as its title says`, unannounced(run.report));
}

/** What must hold between the plain run and one with the preload. */
function checkPair(title, plain, preloaded) {
  if (!plain.report || !preloaded.report) return;
  check(`${title}: the same cases with the same statuses as plainly`, differentStatuses(plain.report, preloaded.report));
  check(`${title}: the same results and messages as plainly`, differentDetails(plain.report, preloaded.report));
  check(`${title}: the same output and totals as plainly`, differentNotes(plain.report, preloaded.report));
}

function checkChannels(title, run, owner, other) {
  check(`${title}: the program forks at least five children with a channel`, run.channels.length >= 5
    ? [] : [`${run.channels.length} channels`]);
  check(`${title}: every channel is ${owner}'s and none is ${other}'s`, run.channels
    .filter((channel) => !channel[owner] || channel[other])
    .map((channel) => JSON.stringify(channel)));
}

function row(...cells) {
  const widths = [27, 9, 6, 7, 7, 8, 5, 9, 9, 8];
  console.log(cells.map((cell, i) => (i < 2 ? String(cell).padEnd(widths[i]) : String(cell).padStart(widths[i]))).join(' '));
}

function printRun(client, way, run) {
  const report = run.report ?? { cases: [] };
  const by = (owner) => run.channels.filter((channel) => channel[owner]).length;
  row(client.name, way.name, report.cases.length,
    ...['passed', 'failed', 'skipped', 'todo'].map((status) => count(report, status)),
    by('node'), by('rsipc'), `${(run.ms / 1000).toFixed(1)} s`);
}

async function main() {
  row('client', 'run', 'cases', 'passed', 'failed', 'skipped', 'todo', 'by Node', 'by rsipc', 'time');
  for (const client of CLIENTS) {
    let plain;
    for (const way of WAYS) {
      const run = await runOnce(client, way);
      const title = `${client.name} ${way.name}`;
      printRun(client, way, run);
      checkRun(title, client, run);
      if (way.preload.length === 0) {
        plain = run;
        checkChannels(title, run, 'node', 'rsipc');
      } else {
        checkChannels(title, run, 'rsipc', 'node');
        checkPair(title, plain, run);
      }
    }
  }
  printFailures();
  console.log(`\n${passed} passed, ${failures.length} failed`);
  process.exitCode = failures.length === 0 && passed > 0 ? 0 : 1;
}

function clean() {
  rmSync(home, { recursive: true, force: true });
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => {
    killAll();
    clean();
    process.exit(1);
  });
}

if (!existsSync(register)) throw new Error(`${register} does not exist: build rsipc first`);
if (!existsSync(path.join(installed, 'node_modules'))) {
  throw new Error(`${installed} has no clients: run ci/clients.sh, which installs them`);
}
try {
  await main();
} finally {
  clean();
}
