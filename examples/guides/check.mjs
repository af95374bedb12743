#!/usr/bin/env node
// Runs every guide of this folder and holds what it prints against the `// → ` comments in its files, and the
// files against the copies of them in the pages below. `--write` renews those copies instead. `--rust <folder>` also
// runs the built examples of crates/core: node_parent, a Rust program that starts a Node script; node_child and service,
// started by the Node scripts of those names beside their sources; and shared_memory, which starts itself.
//
// What parent.js announces must come in the order of its file, and so must what child.js announces; how the
// lines of the two mix is up to the system. Anything on stderr is a failure, as is an exit code other than 0.

import fs from 'node:fs';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const LIMIT = 60_000; // milliseconds; the slowest guide takes well under a second
const here = path.dirname(fileURLToPath(import.meta.url));
const pages = ['fork', 'connections', 'cluster', 'shared-memory', 'node-ipc', 'peek', 'bus'].map((name) => `docs/${name}.md`);
const topics = fs.readdirSync(here, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => entry.name);

const announced = (text) => [...text.matchAll(/\/\/ → (.*)$/gm)].map((match) => match[1].trimEnd());

// Whether `lines` is a mix of the two lists that keeps the order of each.
function isMix(lines, a, b) {
  if (lines.length !== a.length + b.length) return false;
  let reached = new Set([0]); // how much of `a` may be used up after each line
  lines.forEach((line, index) => {
    const next = new Set();
    for (const used of reached) {
      if (a[used] === line) next.add(used + 1);
      if (b[index - used] === line) next.add(used);
    }
    reached = next;
  });
  return reached.has(a.length);
}

function run(command, args) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr']) child[name].setEncoding('utf8').on('data', (text) => { output[name] += text; });
    child.on('error', (error) => { output.stderr += error.message; }); // 'close' follows
    const timer = setTimeout(() => process.kill(-child.pid, 'SIGKILL'), LIMIT);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ ...output, end: signal ?? code });
    });
  });
}

// The two files as two processes that know nothing of each other.
async function runBoth(files) {
  const [a, b] = await Promise.all(files.map((file) => run(process.execPath, [file])));
  return { stdout: a.stdout + b.stdout, stderr: a.stderr + b.stderr, end: a.end || b.end };
}

// Runs `command`, or without one both files, and holds its output against the comments of the two files.
async function checkOutput(topic, files, command, args) {
  const [parent, child] = files.map((file) => (fs.existsSync(file) ? announced(fs.readFileSync(file, 'utf8')) : []));
  const { stdout, stderr, end } = await (command === null ? runBoth(files) : run(command, args));
  const lines = stdout.split('\n').slice(0, -1);
  if (parent.length + child.length > 0 && end === 0 && stderr === '' && isMix(lines, parent, child)) return [];
  return [`${topic}: ended with ${end}\nprinted:\n${stdout}announced by ${path.basename(files[0])}:\n${parent.join('\n')}\nannounced by ${path.basename(files[1])}:\n${child.join('\n')}\nstderr:\n${stderr}`];
}

// In the guide a line `<!-- topic/file.js -->` stands before each copy.
function renewed(text, missing) {
  return text.replace(/<!-- (\S+\/\w+\.js) -->\n```js\n[^]*?```\n/g, (whole, name) => {
    if (!missing.delete(name)) return whole;
    const code = fs.readFileSync(path.join(here, name), 'utf8');
    return `<!-- ${name} -->\n\`\`\`js\n// ${path.basename(name)}\n${code}\`\`\`\n`;
  });
}

const problems = [];
const missing = new Set(topics.flatMap((topic) => [`${topic}/parent.js`, `${topic}/child.js`]));
for (const page of pages) {
  const file = path.join(here, '../..', page);
  const text = fs.readFileSync(file, 'utf8');
  const made = renewed(text, missing);
  if (process.argv.includes('--write')) fs.writeFileSync(file, made);
  else if (made !== text) problems.push(`${page} shows something else than the files here: run node examples/guides/check.mjs --write`);
}
for (const name of missing) problems.push(`${pages.join(' and ')} do not show ${name}`);

const runs = topics.map((topic) => {
  const files = ['parent.js', 'child.js'].map((name) => path.join(here, topic, name));
  // A server starts no client, and the first member of a bus no other.
  const alone = /\b(serve|openBus)\(/.test(fs.readFileSync(files[0], 'utf8'));
  return [topic, files, alone ? null : process.execPath, [files[0]]];
});
const rust = process.argv.indexOf('--rust');
if (rust !== -1) {
  const built = path.resolve(process.argv[rust + 1]);
  const source = (name) => path.join(here, '../../crates/core/examples', name);
  runs.push(
    ['node_parent', [source('node_parent.rs'), source('node_parent.js')], path.join(built, 'node_parent'), [source('node_parent.js')]],
    ['shared_memory', [source('shared_memory.rs'), source('shared_memory.js')], path.join(built, 'shared_memory'), []],
    ['service', [source('service.js'), source('service.rs')], process.execPath, [source('service.js'), path.join(built, 'service')]],
    ['node_child', [source('node_child.js'), source('node_child.rs')], process.execPath, [source('node_child.js'), path.join(built, 'node_child')]],
  );
}
for (const [topic, ...rest] of runs) {
  const found = await checkOutput(topic, ...rest);
  console.log(found.length === 0 ? 'ok  ' : 'FAIL', topic);
  problems.push(...found);
}
for (const problem of problems) console.error(`\n${problem}`);
console.log(`${runs.length} examples, ${problems.length} problems`);
process.exitCode = problems.length === 0 ? 0 : 1;
