// Runs scenarios in rounds: within a round each scenario is measured for both modules one right
// after the other, each in a fresh process. A machine that gets slower half-way slows both.

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

/** The value of one scenario for one module. */
function measure(suite, scenario, moduleName, quick, pair) {
  const { pinned = true, ...rest } = scenario;
  const place = pinned ? pair : undefined;
  const job = { ...rest, moduleName, total: quick ? scenario.quick : scenario.total, childCpu: place?.childCpu };
  const node = [process.execPath, '--expose-gc', suite.parent, JSON.stringify(job)];
  const [file, ...args] = place ? ['taskset', '-c', String(place.parentCpu), ...node] : node;
  // The child of the measurement must be plain Node; what preloads modules into us is not for it.
  const env = { ...process.env };
  delete env.NODE_OPTIONS;
  return new Promise((resolve, reject) => {
    running = execFile(file, args, { env, timeout: LIMIT, killSignal: 'SIGKILL' }, (error, stdout, stderr) => {
      running = undefined;
      if (!error && stdout !== '') return resolve(JSON.parse(stdout).value * (scenario.scale ?? 1));
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

/**
 * Measures every scenario `rounds` times for both modules. Each result holds the values of every
 * round or, when a measurement failed, the error; a scenario that failed is not tried again.
 */
export async function runRounds({ suite, scenarios, moduleName, rounds, quick, pair, progress }) {
  const results = scenarios.map((scenario) => ({ scenario, ours: [], theirs: [], error: undefined }));
  for (let round = 0; round < rounds; round++) {
    for (const result of results) {
      if (result.error) continue;
      progress(round, result.scenario);
      const sides = [[result.ours, moduleName, 'rsipc'], [result.theirs, suite.rival.moduleName, suite.rival.name]];
      // Who goes first changes, so that going first is nobody's advantage.
      if (round % 2) sides.reverse();
      for (const [values, name, label] of sides) {
        try {
          values.push(await measure(suite, result.scenario, name, quick, pair));
        } catch (error) {
          result.error = `${label}: ${error.message}`;
          break;
        }
      }
    }
  }
  return results;
}
