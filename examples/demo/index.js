'use strict';

// The main job on real input: one plain Node worker per core reads every file of a folder, on the
// word of messages alone. On the way one of them answers a TCP connection that was accepted here,
// and one is killed. The result is then held against a count made in this process.

const { readOptions } = require('./options.js');
const { walk } = require('./walk.js');
const { Pool } = require('./pool.js');
const { handOver } = require('./connection.js');
const { Progress } = require('./progress.js');
const { Totals, countHere } = require('./totals.js');
const { measureRates } = require('./rates.js');
const { forkWith, killAll } = require('./children.js');
const format = require('./format.js');

const progress = new Progress(process.stdout);
const say = (line = '') => progress.print(line);

/** Milliseconds without an answer after which the demo says what it waits for. */
const SILENCE = 10_000;

async function main() {
  // Until the check has passed; also if this process should run out of things to wait for.
  process.exitCode = 1;
  const options = readOptions(process.argv.slice(2));
  const began = performance.now();
  say(`Words and SHA-256 of every file under ${format.printable(options.folder)}`);
  say(`channel: ${options.name}, Node ${process.version}`);

  progress.note('looking for files …');
  const { files, closedFolders } = await walk(options.folder);
  say(`found ${format.files(files.length)}${closedFolders > 0 ? `; folders that cannot be read: ${format.whole(closedFolders)}` : ''}`);

  const totals = await countInWorkers(options, files);
  const equal = await check(options.folder, totals);
  if (options.rates) await showRates(options);
  say();
  say(`done in ${format.seconds(performance.now() - began)}`);
  if (equal) process.exitCode = 0;
}

/** Has workers count all files; on the way hands one a connection and kills another. */
async function countInWorkers({ fork, workers }, files) {
  const began = performance.now();
  const totals = new Totals();
  const pool = new Pool({ fork: forkWith(fork), size: workers, files, onAnswer: (file, answer) => totals.add(file, answer) });
  say(`${workers} workers, plain Node: processes ${pool.pids().join(', ')}`);
  say();

  let connection;
  let killed = false;
  const silence = setInterval(() => {
    for (const { pid, what } of pool.waitsFor()) say(`WAIT   worker ${pid} has ${what} yet`);
  }, SILENCE);
  pool.onStep = (answered) => {
    silence.refresh();
    progress.show(answered, files.length);
    if (connection === undefined && answered >= Math.floor(files.length / 4)) {
      connection = showHandOver(pool);
      connection.catch(pool.fail);
    }
    if (!killed && answered >= Math.floor(files.length / 2)) killed = killOne(pool);
  };
  await pool.run();
  await connection;
  await pool.end();
  clearInterval(silence);

  say();
  if (!killed) say('no worker was killed: no file was under way');
  say(totals.describe());
  say(`counted by workers in ${format.seconds(performance.now() - began)}`);
  return totals;
}

async function showHandOver(pool) {
  const worker = pool.leastBusy();
  worker.keep = true;
  const heard = await handOver(worker.child);
  worker.keep = false;
  say(`TCP    accepted by ${process.pid}, handed to worker ${worker.child.pid}; the client heard: ${format.printable(heard)}`);
}

/** Kills the worker with the most files in hand; false if there is none to kill yet. */
function killOne(pool) {
  const victim = pool.busiest((worker) => !worker.keep);
  if (victim === undefined) return false;
  pool.kill(victim, (lost, replacement) => {
    say(`KILL   worker ${victim.child.pid} ended by SIGKILL with ${format.files(lost)} in hand; worker ${replacement.pid} takes its place${lost > 0 ? ', they are sent again' : ''}`);
  });
  return true;
}

/** Counts once more in this process alone and compares. */
async function check(folder, totals) {
  const began = performance.now();
  progress.note('counting once more in this process …');
  const here = await countHere(folder);
  const differences = totals.differences(here);
  if (differences.length === 0) {
    say(`check: equal (files, bytes, words and digest, counted again by one process in ${format.seconds(performance.now() - began)})`);
    return true;
  }
  say('check: NOT equal');
  for (const line of differences) say(`  ${line}`);
  say('  A folder that changes while the demo runs looks like this too.');
  return false;
}

async function showRates({ fork, name }) {
  say();
  progress.note('measuring messages per second …');
  const rows = await measureRates({
    ours: forkWith(fork),
    theirs: forkWith(require('node:child_process').fork),
  });
  say('messages per second, 64 B each, medians of rounds taken in turns');
  const lines = rows.map(({ what, ours, theirs, ratio }) => [what, format.whole(ours), format.whole(theirs), `${ratio.toFixed(2)}×`]);
  for (const line of format.table([['', name, 'child_process.fork', 'ratio'], ...lines])) say(line);
}

/** `report` is undefined or the reason to print. */
function stop(code, report) {
  killAll();
  progress.clear();
  if (report !== undefined) process.stderr.write(`${report}\n`);
  process.exit(code);
}

process.once('SIGINT', () => stop(130, 'stopped'));
process.once('SIGTERM', () => stop(143, 'stopped'));
// Whatever else ends this process, no worker outlives it.
process.once('exit', killAll);

main().catch((error) => stop(1, `the demo failed: ${error.stack}`));
