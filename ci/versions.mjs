// One version, wherever it is written: package.json, Cargo.toml, npm/*, the changelog. The lock file of npm must come
// from any registry, so it names none.
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const read = (path) => readFileSync(fileURLToPath(new URL(`../${path}`, import.meta.url)), 'utf8');
const { version } = JSON.parse(read('package.json'));
const problems = [];

const inCargo = /^\[workspace\.package\]\nversion = "(.*)"/m.exec(read('Cargo.toml'))?.[1];
if (inCargo !== version) problems.push(`Cargo.toml says ${inCargo}`);
for (const name of readdirSync(new URL('../npm', import.meta.url))) {
  const { version: platform } = JSON.parse(read(`npm/${name}/package.json`));
  if (platform !== version) problems.push(`npm/${name} says ${platform}`);
}
for (const [, crate, asked] of read('Cargo.toml').matchAll(/^(rsipc-\w+) = \{ path = "[^"]+", version = "([^"]+)"/gm)) {
  if (asked !== version) problems.push(`Cargo.toml asks for ${crate} ${asked}`);
}
if (!read('CHANGELOG.md').includes(`\n## ${version}`)) problems.push('CHANGELOG.md has no section for it');
if (/"resolved": "https?:/.test(read('package-lock.json'))) {
  problems.push('package-lock.json names a registry: make it anew with --omit-lockfile-registry-resolved');
}

for (const problem of problems) console.error(`package.json says ${version}: ${problem}`);
process.exitCode = problems.length > 0 ? 1 : 0;
