// Writes what Vitest found in the form all clients share.

import path from 'node:path';
import report from '../report.cjs';

const { Report, brief, digest, messageOf, scrub, show } = report;

// Vitest hears of a dead fork by its exit, or before that by the failure of an answer it was just
// sending. Which comes first is a race, with Node's channel too, and the report names only the first.
const DEATHS = new Set(['Worker exited unexpectedly', 'write EPIPE']);

/** All that an error brought with it, less what names the runner's own frames. */
function describe(error) {
  const { name, message, stack, stacks, cause, ...rest } = error;
  if (DEATHS.has(message)) return 'the fork is gone';
  return [
    `${name}: ${messageOf(message)}`,
    ...(cause ? [`cause: ${describe(cause)}`] : []),
    show(rest),
  ].join('\n');
}

export default class {
  #console = new Map();

  onUserConsoleLog(log) {
    // By file and stream: the two streams of one worker are flushed one after the other.
    const file = path.basename(log.taskId ? this.#fileOf(log.taskId) : 'outside any test');
    const key = `${file} ${log.type}`;
    this.#console.set(key, `${this.#console.get(key) ?? ''}${scrub(log.content)}`);
  }

  onInit(vitest) {
    this.vitest = vitest;
  }

  onTestRunEnd(modules, unhandled, reason) {
    const all = new Report();
    for (const module of modules) {
      const file = path.basename(module.moduleId);
      const errors = module.errors();
      all.note(`${file} state`, module.state());
      // A file that never reported its tests: its worker died, or it does not load.
      if (errors.length > 0 || [...module.children.allTests()].length === 0) {
        all.add(file, module.state(), errors.map(({ message }) => messageOf(message)).join('\n'));
      }
      for (const test of module.children.allTests()) {
        const { state, errors: found = [], note } = test.result();
        all.add(`${file} > ${test.fullName}`, test.options.mode === 'todo' ? 'todo' : state, [
          ...found.map(describe),
          ...test.annotations().map(({ type, message }) => `${type}: ${brief(message)}`),
          ...(note ? [`note: ${note}`] : []),
          `meta ${brief(JSON.stringify(test.meta()))}`,
          `retries ${test.diagnostic()?.retryCount} repeats ${test.diagnostic()?.repeatCount} flaky ${test.diagnostic()?.flaky}`,
        ].join('\n'));
      }
    }
    for (const [key, text] of this.#console) {
      all.note(`${key} console`, `${text.length} characters, sha256 ${digest(text)}`);
    }
    all.note('unhandled errors', unhandled.map(describe).sort());
    all.note('reason', reason);
    all.write();
  }

  #fileOf(taskId) {
    return this.vitest.state.idMap.get(taskId)?.file.filepath ?? 'unknown file';
  }
}
