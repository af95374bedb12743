// Installs the rivals that are packages, pinned by rivals/package-lock.json, outside the project's own node_modules.

import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const cache = fileURLToPath(new URL('../../.cache/', import.meta.url));

/** Sees to it that they are there; says what stands in the way, or nothing. */
export function installed() {
  return installedFrom(fileURLToPath(new URL('rivals/', import.meta.url)), path.join(cache, 'rivals'), 'zeromq');
}

/** The same of the packages that the folder `wanted` names, in `folder`; `name` is the one that must load. */
export function installedFrom(wanted, folder, name) {
  // The copy is made last, so an install that was interrupted is done again.
  const done = path.join(folder, 'installed.json');
  const lock = path.join(wanted, 'package-lock.json');
  if (!existsSync(done) || readFileSync(done, 'utf8') !== readFileSync(lock, 'utf8')) {
    process.stderr.write('installing the rivals that are packages …\n');
    mkdirSync(folder, { recursive: true });
    for (const file of ['package.json', 'package-lock.json']) copyFileSync(path.join(wanted, file), path.join(folder, file));
    const problem = npm(folder, 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error');
    if (problem !== undefined) return problem;
    copyFileSync(lock, done);
  }
  // In a process of its own: a binary that does not suit this system must not end us.
  const { status, stderr } = spawnSync(process.execPath, ['-e', `require(${JSON.stringify(name)})`], { cwd: folder, encoding: 'utf8' });
  return status === 0 ? undefined : `it does not load: ${firstError(stderr)}`;
}

/** Runs npm in the folder. It is a script whose path is known under `npm run`. */
function npm(folder, ...args) {
  const script = process.env.npm_execpath;
  const [file, ...first] = script?.endsWith('.js') ? [process.execPath, script] : ['npm'];
  const { status, stderr, error } = spawnSync(file, [...first, ...args], { cwd: folder, encoding: 'utf8', timeout: 120_000 });
  return status === 0 ? undefined : `npm could not install it: ${error?.message ?? firstError(stderr)}`;
}

function firstError(stderr) {
  return /^.*\berror\b.*$/im.exec(stderr)?.[0].trim() ?? 'without a word';
}
