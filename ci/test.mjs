// Runs the JavaScript tests: `node ci/test.mjs [options of node's test runner] [part of a path …]`.
//
// Each file is a program on node:test. This starts them, several at a time, and adds up. `node --test` would do nearly
// that, but Node 20 knows no patterns there and takes fixtures for tests, and from Node 24 on it waits for ever for a
// file whose tests are over while something still holds its loop. Here such a file fails, and so does one that has no
// tests, and one that leaves a process behind.
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative, sep } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

// Programs that tests start, and suites with runners of their own (`ci/node-tests.sh`, `ci/clients.sh`,
// `ci/pack-smoke.sh`, `ci/fuzz.sh`), are no tests of this one.
const elsewhere = new Set(['fixtures', 'helpers', 'node', 'clients', 'smoke', 'fuzz', 'types', 'node_modules']);

// A file takes seconds. These end one that hangs, and give a child that has seen its parent go the time to follow.
const fileLimit = 180_000;
const orphanLimit = 5_000;

// Files named at the end for the time they took.
const slowestShown = 15;

function collect(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return elsewhere.has(entry.name) ? [] : collect(path);
    return /\.test\.m?js$/.test(entry.name) ? [path] : [];
  });
}

// The living processes of a process group, as text. Only Linux tells; a zombie is not alive, and a container whose
// first process reaps nobody may keep it for ever.
function living(group) {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
    try {
      const [state, , pgrp] = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ');
      if (Number(pgrp) !== group || state === 'Z' || state === 'X') return [];
      return [`${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' ').trim()}`];
    } catch {
      return []; // gone in between
    }
  });
}

async function leftBehind(group) {
  const deadline = Date.now() + orphanLimit;
  let processes = living(group);
  while (processes.length > 0 && Date.now() < deadline) {
    await delay(50);
    processes = living(group);
  }
  return processes;
}

const groups = new Set();

function endGroup(group) {
  try {
    process.kill(process.platform === 'win32' ? group : -group, 'SIGKILL');
  } catch {
    // already gone
  }
}

// A file runs in a process group of its own, so that whatever it started can be found; the terminal's ^C does not
// reach such a group by itself.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    for (const group of groups) endGroup(group);
    process.exit(1);
  });
}

// Runs one file to its end: what it printed, what it counted, and why it failed if it did.
async function runFile(file, options) {
  const started = Date.now();
  const child = spawn(process.execPath, [...options, file], {
    cwd: root,
    detached: process.platform !== 'win32',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: process.stdout.isTTY ? { ...process.env, FORCE_COLOR: '1' } : process.env,
  });
  groups.add(child.pid);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
  const faults = [];
  const watchdog = setTimeout(() => {
    faults.push(`still running after ${fileLimit / 1000} s`);
    endGroup(child.pid);
  }, fileLimit);
  const exited = new Promise((resolve) => child.on('exit', (code, signal) => resolve({ code, signal })));
  const closed = new Promise((resolve) => child.on('close', resolve));
  const { code, signal } = await exited;
  const processes = await leftBehind(child.pid);
  if (processes.length > 0) faults.push(`left behind: ${processes.join('; ')}`);
  endGroup(child.pid);
  await closed;
  clearTimeout(watchdog);
  groups.delete(child.pid);

  const count = (word) => Number(new RegExp(`^\\W*${word} (\\d+)`, 'm').exec(output)?.[1] ?? 0);
  const result = { file, output, tests: count('tests'), passed: count('pass'), skipped: count('skipped'), faults };
  if (faults.length === 0 && code !== 0) faults.push(signal ? `ended by ${signal}` : `exit code ${code}`);
  if (code === 0 && result.tests === 0 && !options.some((option) => option.startsWith('--test-name'))) {
    faults.push('has no tests');
  }
  result.seconds = (Date.now() - started) / 1000;
  return result;
}

function report({ file, output, seconds, faults }) {
  // Each file ends with its own totals; one set at the very end serves.
  const text = faults.length > 0 ? output : output.replace(/^\W*(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+\n/gm, '');
  console.log(`\n${file} (${seconds.toFixed(1)} s)${faults.map((fault) => `\n  FAILED: ${fault}`).join('')}\n${text.trimEnd()}`);
}

const args = process.argv.slice(2);
const options = args.filter((arg) => arg.startsWith('-'));
const parts = args.filter((arg) => !arg.startsWith('-')).map((part) => part.split('/').join(sep));
// Node 20 writes TAP when nobody looks, later ones do not.
if (!options.some((option) => option.startsWith('--test-reporter'))) options.unshift('--test-reporter=spec');

const files = collect(join(root, '__test__'))
  .map((path) => relative(root, path))
  .filter((path) => parts.length === 0 || parts.some((part) => path.includes(part)))
  .sort();
if (files.length === 0) {
  console.error(parts.length > 0 ? `no test file's path contains ${parts.join(' or ')}` : 'no test files found');
  process.exit(1);
}

const started = Date.now();
const results = [];
const waiting = [...files];
// A test of processes waits more than it computes.
await Promise.all(Array.from({ length: 2 * availableParallelism() }, async () => {
  for (let file = waiting.shift(); file; file = waiting.shift()) {
    const result = await runFile(file, options);
    results.push(result);
    report(result);
  }
}));

if (files.length > slowestShown) {
  const slowest = results.sort((a, b) => b.seconds - a.seconds).slice(0, slowestShown);
  console.log(`\nslowest:${slowest.map(({ file, seconds }) => `\n${seconds.toFixed(1).padStart(6)} s  ${file}`).join('')}`);
}
const failed = results.filter(({ faults }) => faults.length > 0);
const sum = (field) => results.reduce((total, result) => total + result[field], 0);
console.log(`\n${process.version}: ${sum('passed')} of ${sum('tests')} tests passed, ${sum('skipped')} skipped, ` +
  `${files.length} files, ${((Date.now() - started) / 1000).toFixed(1)} s`);
for (const { file, faults } of failed) console.log(`FAILED ${file}: ${faults.join('; ')}`);
process.exitCode = failed.length > 0 ? 1 : 0;
