// Runs scenarios in rounds: within a round each scenario is measured for every side, rsipc and its rivals, one right
// after the other, each in a fresh process. A machine that gets slower half-way slows all.

import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const LIMIT = 120_000;

/** The child process that is measuring now, so that an interrupt can end it. */
let running;

/** Two cores to pin sender and receiver to, or none where that is not possible. */
export function cores() {
  try {
    const allowed = /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8'))[1];
    const list = allowed.split(',').flatMap((part) => {
      const [first, last = first] = part.split('-').map(Number);
      return Array.from({ length: last - first + 1 }, (_, step) => first + step);
    });
    const works = spawnSync('taskset', ['-c', String(list[0]), process.execPath, '-e', '']).status === 0;
    return works && list.length > 1 ? { parentCpu: list[0], childCpu: list[1] } : undefined;
  } catch {
    return undefined;
  }
}

/** The result of one scenario for one side: its value and what else the scenario tells. */
function measure(suite, scenario, side, quick, pair) {
  const { pinned = true, ...rest } = scenario;
  const place = pinned ? pair : undefined;
  const job = { ...rest, ...side, total: quick ? scenario.quick : scenario.total, childCpu: place?.childCpu };
  const node = [process.execPath, '--expose-gc', suite.parent, JSON.stringify(job)];
  const [file, ...args] = place ? ['taskset', '-c', String(place.parentCpu), ...node] : node;
  // The child of the measurement must be plain Node; what preloads modules into us is not for it.
  const env = { ...process.env };
  delete env.NODE_OPTIONS;
  return new Promise((resolve, reject) => {
    running = execFile(file, args, { env, timeout: LIMIT, killSignal: 'SIGKILL' }, (error, stdout, stderr) => {
      running = undefined;
      if (!error && stdout !== '') {
        const result = JSON.parse(stdout);
        return resolve({ ...result, value: result.value * (scenario.scale ?? 1) });
      }
      // A program that has nothing left to wait for ends without a word.
      if (!error) return reject(new Error('it ended before there was a result: what it waited for never came'));
      reject(new Error(error.killed ? `no result within ${LIMIT / 1000} s` : essence(stderr) ?? error.message));
    });
  });
}

/** From the error on; without the source line that Node prints above it. */
function essence(stderr) {
  return /^(?:\w*Error\b|Uncaught)[^]*/m.exec(stderr)?.[0].trim() ?? (stderr.trim() || undefined);
}

/** Ends the measurement under way; its children end when their channel closes. */
export function stop() {
  running?.kill('SIGKILL');
}

/** Who is measured where the suite does not say: our module, and its one rival. */
function pairOf(suite, moduleName) {
  return [{ label: 'rsipc', moduleName }, { label: suite.rival.name, moduleName: suite.rival.moduleName }];
}

/**
 * Measures every scenario `rounds` times for every side; the first side is rsipc as it comes. Each side has the results
 * of every round or, when a measurement failed, the error, and is then not tried again. A scenario ends when there is
 * nothing left to compare.
 */
export async function runRounds({ suite, scenarios, moduleName, rounds, quick, pair, progress }) {
  const results = scenarios.map((scenario) => {
    const sides = suite.sides?.(scenario, moduleName) ?? pairOf(suite, moduleName);
    return { scenario, sides: sides.map((side) => ({ ...side, runs: [], error: undefined })) };
  });
  for (let round = 0; round < rounds; round++) {
    for (const { scenario, sides } of results) {
      progress(round, scenario);
      // Who goes first changes, so that going first is nobody's advantage.
      const first = round % sides.length;
      for (const side of [...sides.slice(first), ...sides.slice(0, first)]) {
        const [ours, ...rivals] = sides;
        if (side.error || ours.error || rivals.every((rival) => rival.error)) continue;
        const { runs, error: _, ...job } = side;
        try {
          runs.push(await measure(suite, scenario, job, quick, pair));
        } catch (error) {
          side.error = error.message;
        }
      }
    }
  }
  return results;
}
