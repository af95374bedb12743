'use strict';

// Writes what Jest found in the form all clients share.

const path = require('node:path');
const { Report, brief, digest, messageOf, scrub } = require('../report.cjs');

const STATUS = { passed: 'passed', failed: 'failed', pending: 'skipped', todo: 'todo' };

class Reporter {
  #console = new Map();

  // Jest forgets the output before the run completes.
  onTestResult(test, result) {
    const lines = (result.console ?? []).map(({ type, message }) => `${type}: ${scrub(message)}`);
    this.#console.set(path.basename(test.path), `${lines.length} lines, sha256 ${digest(lines.join('\n'))}`);
  }

  onRunComplete(contexts, results) {
    const report = new Report();
    for (const file of results.testResults) {
      const name = path.basename(file.testFilePath);
      // A file that never reported its tests: its worker died, or it does not parse.
      if (file.testExecError) report.add(name, 'failed', messageOf(file.testExecError.message));
      for (const test of file.testResults) {
        report.add([name, ...test.ancestorTitles, test.title].join(' > '), STATUS[test.status], [
          `assertions ${test.numPassingAsserts}`,
          `invocations ${test.invocations}`,
          ...test.failureMessages.map(messageOf),
        ].join('\n'));
      }
      report.note(`${name} console`, this.#console.get(name) ?? 'none heard of');
      report.note(`${name} snapshots`, `${file.snapshot.matched} matched, ${file.snapshot.unmatched} unmatched`);
    }
    for (const key of ['numTotalTestSuites', 'numFailedTestSuites', 'numRuntimeErrorTestSuites', 'numTotalTests']) {
      report.note(key, results[key]);
    }
    report.note('open handles', results.openHandles.map((error) => brief(error.message)));
    report.write();
  }
}

module.exports = Reporter;
