#!/usr/bin/env node
// Makes a set for run.mjs: finds the test files of one Node version that concern the package and keeps those that pass
// on that Node by itself. See README.md beside it for the command.

import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { Session, testFolder } from './execute.mjs';
import { closeAtExit, runAll } from './schedule.mjs';

// The other folders need a network, a terminal, a compiler, recorded output, or are expected to fail.
const FOLDERS = ['async-hooks', 'es-module', 'message', 'parallel', 'pummel', 'report', 'sequential'];
// A file that only names one of these, in a string or a comment, is taken as well: better one too many.
const CONCERNED = [
  /\bfork\s*\(/,
  /\bprocess\??\.(channel|connected|disconnect|send)\b/,
  /(['"`])ipc\1/,
  /\bNODE_CHANNEL/,
  /\b_forkChild\b/,
  /(['"])(node:)?cluster\1/,
  /\bsetup(Primary|Master)\b/,
  /\binternal\/(child_process|cluster|socket_list)/,
];
const CONCERNED_NAME = /^test-(child-process|cluster)-/;
const NOBODY = 65534;

const { values: chosen, positionals: [out] } = parseArgs({
  allowPositionals: true,
  options: {
    node: { type: 'string', default: process.execPath },
    tests: { type: 'string' },
    jobs: { type: 'string', default: '2' },
    timeout: { type: 'string', default: '60' },
    repeat: { type: 'string', default: '3' },
  },
});
if (out === undefined || chosen.tests === undefined) {
  console.error('usage: node __test__/node/select.mjs --tests DIR [--node BIN] [--jobs N] [--timeout S] [--repeat N] OUT');
  process.exit(2);
}
if (process.getuid() !== 0) {
  console.error('select.mjs runs every file as root and as nobody, to learn which need one or the other: run it as root');
  process.exit(2);
}
const tests = testFolder(chosen.tests);
const version = /^Node (\S+),/.exec(fs.readFileSync(path.join(tests, '../VERSION'), 'utf8'))[1];

const texts = new Map();
for (const folder of FOLDERS) {
  const names = fs.existsSync(path.join(tests, folder)) ? fs.readdirSync(path.join(tests, folder)).sort() : [];
  for (const name of names.filter((each) => /^test-.*\.[cm]?js$/.test(each))) {
    const text = fs.readFileSync(path.join(tests, folder, name), 'utf8');
    if (CONCERNED_NAME.test(name) || CONCERNED.some((pattern) => pattern.test(text))) texts.set(`${folder}/${name}`, text);
  }
}
const files = [...texts.keys()];
console.log(`${files.length} files of Node ${version} concern the package`);

async function pass(title, changes, wanted, repeat) {
  const session = new Session({ ...chosen, tests, timeout: Number(chosen.timeout), ...changes });
  closeAtExit(session);
  const results = await runAll(session, wanted, { jobs: Number(chosen.jobs), repeat });
  session.close();
  for (const [file, { status, reason }] of results) if (status === 'fail') console.log(`${title}: ${file}, ${reason}`);
  const passed = wanted.filter((file) => results.get(file).status === 'pass');
  console.log(`${title}: ${passed.length} of ${wanted.length} pass`);
  return { results, passed: new Set(passed) };
}

// Node's own functions throughout. The later passes go through the preload, which some files cannot bear whatever it
// installs: those that read the command line, allow no file, count modules.
const identity = { module: 'node:child_process', trace: true };
const root = await pass('as root', {}, files, Number(chosen.repeat));
const nobody = await pass('as nobody', { uid: NOBODY }, files, 1);
const either = files.filter((file) => root.passed.has(file) || nobody.passed.has(file));
const asRoot = either.filter((file) => root.passed.has(file));
const asNobody = either.filter((file) => !root.passed.has(file));
const preloaded = [
  await pass('preloaded, as root', identity, asRoot, 1),
  await pass('preloaded, as nobody', { ...identity, uid: NOBODY }, asNobody, 1),
];
const inherited = [
  await pass('preloaded, children too, as root', { ...identity, children: 'inherit' }, asRoot, 1),
  await pass('preloaded, children too, as nobody', { ...identity, children: 'inherit', uid: NOBODY }, asNobody, 1),
];
const passedIn = (passes, file) => passes.some(({ passed }) => passed.has(file));
const reachedBy = (file) => preloaded.flatMap(({ results }) => results.get(file)?.reached ?? []);

// A send whose second argument is a name: the handle that goes along, or the callback.
const SENDS_HANDLE = /\.send\((?:'[^']*'|\{[^}]*\}), *(?!cb\b|common\b)[a-z]\w*/;
const uses = (text, name) => new RegExp(`(?:require\\(|from )(['"])(?:node:)?${name}\\1`).test(text);

function category(file) {
  const text = texts.get(file);
  const name = path.basename(file);
  const channel = reachedBy(file).some((each) => each === 'fork' || each === 'spawn+ipc');
  const cluster = uses(text, 'cluster') && (channel || /cluster/.test(name));
  const handle = channel && /\b(dgram|http|net)\b/.test(text) && SENDS_HANDLE.test(text);
  if (/dgram|udp/.test(name) && (cluster || handle)) return 'dgram';
  if (cluster) return 'cluster';
  if (handle) return 'handle';
  if (channel) return 'fork';
  return name.startsWith('test-child-process-') ? 'spawn' : 'mention';
}

function whyLeftOut(file) {
  if (passedIn(preloaded, file) && passedIn(inherited, file)) return undefined;
  const { status, reason } = root.results.get(file);
  if (root.passed.has(file) || nobody.passed.has(file)) return 'does not pass under a preload';
  return status === 'skip' ? `skips itself: ${reason}` : `does not always pass: ${reason}`;
}

const kept = [];
const leftOut = [];
for (const file of files) {
  const reason = whyLeftOut(file);
  if (reason !== undefined) {
    leftOut.push({ file, reason });
    continue;
  }
  kept.push({
    file,
    category: category(file),
    ...(/--expose[-_]internals/.test(texts.get(file)) ? { internals: true } : {}),
    ...(nobody.passed.has(file) ? {} : { needs: 'root' }),
    ...(root.passed.has(file) ? {} : { needs: 'user' }),
  });
}

const lines = (list) => list.map((each) => `    ${JSON.stringify(each)}`).join(',\n');
const node = execFileSync(chosen.node, ['--version'], { encoding: 'utf8' }).trim().slice(1);
fs.writeFileSync(out, `{
  "tests": "${version}",
  "node": "${node}",
  "files": [
${lines(kept)}
  ],
  "leftOut": [
${lines(leftOut)}
  ]
}
`);
console.log(`${kept.length} kept, ${leftOut.length} left out`);
