#!/usr/bin/env node
// Holds the pages of this folder against the project: files, functions, error codes, defaults, tests and links
// that they name must exist, and those that must be named are.

import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const docs = path.dirname(fileURLToPath(import.meta.url));
const root = path.dirname(docs);
const problems = [];
const read = (name) => fs.readFileSync(path.join(root, name), 'utf8');
const exists = (name) => fs.existsSync(path.join(root, name));
const check = (ok, problem) => {
  if (!ok) problems.push(problem);
};

function files(folder, ending) {
  return fs.readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const name = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return files(name, ending);
    return name.endsWith(ending) ? [name] : [];
  });
}

// Links of every page, and of the README, lead somewhere.
for (const page of ['README.md', ...files('docs', '.md')]) {
  const text = read(page);
  const headings = (name) => [...read(name).matchAll(/^#+ (.*)$/gm)].map((match) => match[1].toLowerCase().replace(/[^\w\- ]/g, '').replaceAll(' ', '-'));
  for (const [, target, anchor] of text.matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)) {
    const name = target === '' ? page : path.join(path.dirname(page), target);
    check(exists(name), `${page}: ${target} does not exist`);
    if (anchor !== undefined && exists(name)) check(headings(name).includes(anchor), `${page}: ${name} has no heading #${anchor}`);
  }
}

// architecture.md: every source file is named, every name is one, every function is in its file.
{
  const text = read('docs/architecture.md');
  const named = new Set([...text.matchAll(/`([\w./-]+\.(?:rs|js|mjs|ts|mts))`/g)].map((match) => match[1]).filter((name) => name.includes('/')));
  for (const name of named) check(exists(name), `architecture.md: ${name} does not exist`);
  for (const name of ['lib', 'src', 'crates/core/src', 'crates/sys/src'].flatMap((folder) => [...files(folder, '.js'), ...files(folder, '.rs')])) {
    check(named.has(name), `architecture.md does not name ${name}`);
  }
  for (const [, file, name] of text.matchAll(/`([\w./-]+\.(?:rs|js))`\s+`([\w:]+)`/g)) {
    if (!exists(file)) continue;
    const last = name.split('::').at(-1);
    const defined = file.endsWith('.rs')
      ? new RegExp(`\\b(fn|struct|enum|trait) ${last}\\b`)
      : new RegExp(`(\\bfunction\\*? |\\bclass |[ #.])${last}(\\(.*\\) \\{| = )`);
    check(defined.test(read(file)), `architecture.md: ${file} has no ${name}`);
  }
}

// errors.md, index.d.ts: the codes there are, and no others.
{
  const codes = (text) => new Set(text.match(/\bERR_[A-Z_]+[A-Z]\b|\bABORT_ERR\b/g));
  const sources = [...files('lib', '.js').filter((name) => name !== 'lib/native.js'), ...files('crates/core/src', '.rs')];
  const made = new Set(sources.flatMap((name) => [...codes(read(name))]));
  made.delete('ERR_DLOPEN_DISABLED'); // Node's, and only looked at
  for (const page of ['docs/errors.md', 'index.d.ts']) {
    const told = codes(read(page));
    for (const code of made) check(told.has(code), `${page} does not have ${code}`);
    for (const code of told) check(made.has(code), `${page}: nothing makes ${code}`);
  }
}

// limits.md: defaults as they are in the code.
{
  const { DEFAULTS } = createRequire(import.meta.url)('../lib/fork/settings.js');
  const text = read('docs/limits.md');
  const flat = { ...DEFAULTS, 'highWaterMark.bytes': DEFAULTS.highWaterMark.bytes, 'highWaterMark.messages': DEFAULTS.highWaterMark.messages };
  for (const [name, value] of Object.entries(flat)) {
    if (typeof value !== 'number') continue;
    check(text.includes(`| \`${name}\` | ${value} |`), `limits.md: ${name} is not ${value}`);
  }
}

// connections.md: what each endpoint promises is what the conformance suite asserts.
{
  const { rows } = createRequire(import.meta.url)('../__test__/endpoint/conformance/endpoints.js');
  const text = read('docs/connections.md');
  for (const row of rows()) check(text.includes(`${row}\n`), `connections.md has no line ${row}`);
}

// compatibility.md, failures.md and README.md: a test is cited as `path` "its name".
for (const page of ['docs/compatibility.md', 'docs/failures.md', 'README.md']) {
  for (const [, file, name] of read(page).matchAll(/`([\w./-]+\.test\.m?js)`\s+"([^"]+)"/g)) {
    const found = exists(`__test__/${file}`) && read(`__test__/${file}`).replaceAll("\\'", "'").includes(name);
    check(found, `${page}: there is no test "${name}" in __test__/${file}`);
  }
}

// failures.md: every row has a test, and every file is there.
{
  const page = read('docs/failures.md');
  const cited = /`([\w./-]+\.(?:test\.js|mjs|rs))`(?: `(\w+)`)?/g;
  for (const [row] of page.matchAll(/^\| (?!failure|--).*$/gm)) check(row.match(cited) !== null, `failures.md: no test for "${row.slice(2, 60)}"`);
  for (const [, file, name] of page.matchAll(cited)) {
    const found = [file, `__test__/${file}`].find((one) => exists(one));
    check(found !== undefined, `failures.md: ${file} does not exist`);
    if (found !== undefined && name !== undefined) check(new RegExp(`\\b(fn|fuzz_target!) ${name}\\b`).test(read(found)), `failures.md: ${file} has no ${name}`);
  }
}

for (const problem of problems) console.error(problem);
console.log(`docs: ${problems.length} problems`);
process.exitCode = problems.length === 0 ? 0 : 1;
