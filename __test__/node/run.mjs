#!/usr/bin/env node
// Holds Node's own test files against the package: runs a set of them with the package's functions in the place of
// `node:child_process`'s, and fails if one fails. See README.md beside it.

import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Session, testFolder } from './execute.mjs';
import { closeAtExit, runAll } from './schedule.mjs';

const CHECKOUT = fileURLToPath(new URL('../../', import.meta.url));
const USAGE = `usage: node __test__/node/run.mjs [options]
  --node BIN         Node to test with                     (default: the one that runs this)
  --set FILE         which files to run                    (default: files-20.json beside this)
  --tests DIR        what ci/node-tests.sh printed         (default: .cache/node-tests/<major of the set>)
  --module ENTRY     module under test                     (default: the checkout's index.js)
  --baseline         no module: Node's own functions
  --children MODE    stock: only the test process gets the module
                     inherit: so does what it forks        (default: stock)
  --filter RE        only files whose path matches
  --category NAMES   only these categories, separated by commas
  --jobs N           files at a time                       (default: 2)
  --timeout S        seconds for each file                 (default: 60)
  --repeat N         times each file must pass             (default: 1)
  --list-unreached   name the files that passed without calling the module
  --verbose          a line for every file
`;
const OUTPUT_LINES = 25;
const NO_BINDING = 'RSIPC_NO_BINDING';

function options() {
  try {
    const { values } = parseArgs({
      options: {
        'node': { type: 'string', default: process.execPath },
        'set': { type: 'string', default: fileURLToPath(new URL('files-20.json', import.meta.url)) },
        'tests': { type: 'string' },
        'module': { type: 'string', default: path.join(CHECKOUT, 'index.js') },
        'baseline': { type: 'boolean', default: false },
        'children': { type: 'string', default: 'stock' },
        'filter': { type: 'string', default: '' },
        'category': { type: 'string' },
        'jobs': { type: 'string', default: '2' },
        'timeout': { type: 'string', default: '60' },
        'repeat': { type: 'string', default: '1' },
        'list-unreached': { type: 'boolean', default: false },
        'verbose': { type: 'boolean', default: false },
        'help': { type: 'boolean', default: false },
      },
    });
    for (const name of ['jobs', 'timeout', 'repeat']) {
      if (!/^[1-9]\d*$/.test(values[name])) throw new Error(`--${name} takes a number above 0`);
      values[name] = Number(values[name]);
    }
    if (!['stock', 'inherit'].includes(values.children)) throw new Error('--children is stock or inherit');
    values.filter = new RegExp(values.filter);
    return values;
  } catch (error) {
    stop(`${error.message}\n${USAGE}`);
  }
}

function stop(text) {
  process.stderr.write(`${text.trimEnd()}\n`);
  process.exit(2);
}

/**
 * Loads the module once in the Node to be tested: one clear word now instead of one failure for every file. Without its
 * native part the package hands on Node's own functions and warns, and every file would pass.
 */
function loadable(node, entry) {
  const check = `
    process.on('warning', ({ code }) => {
      if (code === '${NO_BINDING}') process.exitCode = 1;
    });
    try {
      const ours = require(${JSON.stringify(entry)});
      const theirs = Object.keys(require('node:child_process')).filter((name) => !name.startsWith('_'));
      const missing = theirs.filter((name) => typeof ours[name] !== 'function');
      if (missing.length > 0) throw 'it does not export ' + missing.join(', ');
    } catch (error) {
      console.error(error?.stack ?? error);
      process.exitCode = 1;
    }`;
  try {
    execFileSync(node, ['-e', check], { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' });
  } catch (error) {
    stop(`${entry} cannot stand in for node:child_process under ${node}:\n${error.stderr || error.message}`);
  }
}

/** Why an entry of the set is not run here, if so. */
function hindrance(entry, { tests, moved }) {
  if (entry.needs === 'root' && process.getuid?.() !== 0) return 'needs root';
  if (entry.needs === 'user' && process.getuid?.() === 0) return 'needs a user other than root';
  if (moved && !fs.existsSync(path.join(tests, entry.file))) return 'not among the test files of this version';
  return undefined;
}

const chosen = options();
if (chosen.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}
let set;
let tests;
try {
  set = JSON.parse(fs.readFileSync(chosen.set, 'utf8'));
  tests = testFolder(chosen.tests ?? path.join(CHECKOUT, '.cache/node-tests', set.tests.split('.')[0]));
} catch (error) {
  stop(error.message);
}
const label = path.join(tests, '../VERSION');
const tree = fs.existsSync(label) ? fs.readFileSync(label, 'utf8').trim() : tests;
const version = execFileSync(chosen.node, ['--version'], { encoding: 'utf8' }).trim();
// A path is absolute from here on; what names a builtin or a package stays as it is.
const module = chosen.baseline ? undefined :
  fs.existsSync(chosen.module) ? path.resolve(chosen.module) : chosen.module;
if (module !== undefined) loadable(chosen.node, module);

const categories = chosen.category?.split(',');
const entries = set.files.filter(({ file, category }) =>
  chosen.filter.test(file) && (categories === undefined || categories.includes(category)));
if (entries.length === 0) stop('no file of the set is left to run');
console.log(`${module ?? "Node's own child_process"}, ${version}, children ${chosen.children}; files: ${tree}`);

const session = new Session({ ...chosen, tests, module, trace: chosen['list-unreached'] });
closeAtExit(session);
// Debian moves within a major: what the set names and the tree has no more is not held against the module then.
const where = { tests, moved: !tree.startsWith(`Node ${set.tests},`) };
const results = new Map();
for (const entry of entries) {
  const reason = hindrance(entry, where);
  if (reason !== undefined) results.set(entry.file, { status: 'skip', reason, ms: 0, reached: [], output: '' });
}
const report = (file, { status, reason, ms, output }) => {
  if (chosen.verbose || status === 'fail') console.log(`${status} ${file} ${ms} ms${reason && `, ${reason}`}`);
  if (status !== 'fail') return;
  for (const line of output.trimEnd().split('\n').slice(-OUTPUT_LINES)) console.log(`    ${line}`);
};
for (const [file, result] of results) report(file, result);
const ran = await runAll(session, entries.map(({ file }) => file).filter((file) => !results.has(file)), {
  jobs: chosen.jobs,
  repeat: chosen.repeat,
  onResult: report,
});
for (const [file, result] of ran) results.set(file, result);

const count = (status, category) => entries.filter((entry) =>
  results.get(entry.file).status === status && (category === undefined || entry.category === category)).length;
for (const category of new Set(entries.map((entry) => entry.category))) {
  console.log(`${category}: ${count('pass', category)} passed, ${count('fail', category)} failed, ` +
    `${count('skip', category)} skipped`);
}
// Some files rule addons out, by the permission model for one. They pass on Node's functions, which is worth knowing.
const bare = entries.filter(({ file }) => results.get(file).output.includes(NO_BINDING));
if (bare.length > 0) console.log(`without the native part: ${bare.map(({ file }) => file).join(', ')}`);
if (chosen['list-unreached']) {
  const idle = entries.filter(({ file }) => results.get(file).status === 'pass' && results.get(file).reached.length === 0);
  for (const { file } of idle) console.log(`unreached ${file}`);
  console.log(`${idle.length} of the ${count('pass')} that passed never called the module`);
}
console.log(`${count('pass')} passed, ${count('fail')} failed, ${count('skip')} skipped`);
process.exitCode = count('fail') > 0 || count('pass') === 0 ? 1 : 0;
