// Makes the packages as they are published: `node ci/pack.mjs OUT [--artifacts DIR] [--all]`.
//
// OUT receives one tarball for `rsipc` and one for each platform whose binary is at hand, in lib/ or anywhere under
// DIR; with --all, a missing one is an error. Publishing and the smoke test both start from these tarballs, so what was
// tested is what goes out. The manifest in the repository has no optionalDependencies: it could name only packages of a
// version that does not exist yet. They are written here, and what serves development alone is taken out.
import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values: options, positionals: [target] } = parseArgs({
  allowPositionals: true,
  options: { artifacts: { type: 'string' }, all: { type: 'boolean', default: false } },
});
if (!target) throw new Error('usage: node ci/pack.mjs OUT [--artifacts DIR] [--all]');
const out = resolve(target);

const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'));
const writeJson = (path, value) => writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);

// What `npm pack` says about the package in `folder`, as an object.
function npmPack(folder, ...args) {
  const command = ['pack', '--json', '--ignore-scripts', '--loglevel=error', ...args];
  const run = (file, list) => execFileSync(file, list, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  const answer = JSON.parse(process.platform === 'win32' ? run('cmd', ['/c', 'npm', ...command]) : run('npm', command));
  return Object.values(answer)[0];
}

const kilobytes = (bytes) => `${(bytes / 1000).toFixed(1).padStart(7)} kB`;

function pack(folder) {
  const { filename, size, unpackedSize, entryCount } = npmPack(folder, '--pack-destination', out);
  console.log(`${filename.padEnd(36)} ${kilobytes(size)} packed ${kilobytes(unpackedSize)} unpacked, ${entryCount} files`);
}

// The path of a binary by its file name, in lib/ or somewhere under the folder of artifacts.
function binary(name) {
  const built = join(root, 'lib', name);
  if (existsSync(built)) return built;
  if (!options.artifacts) return undefined;
  const found = readdirSync(options.artifacts, { recursive: true }).find((path) => path.split(/[/\\]/).at(-1) === name);
  return found && join(options.artifacts, found);
}

const manifest = readJson(join(root, 'package.json'));
const platforms = readdirSync(join(root, 'npm')).sort()
  .map((name) => ({ folder: join(root, 'npm', name), manifest: readJson(join(root, 'npm', name, 'package.json')) }));
if (platforms.length !== manifest.napi.targets.length) throw new Error('npm/ and the targets of package.json differ');

const stage = mkdtempSync(join(tmpdir(), 'rsipc-pack-'));
try {
  mkdirSync(out, { recursive: true });

  const main = join(stage, 'main');
  for (const { path } of npmPack(root, '--dry-run').files) {
    mkdirSync(dirname(join(main, path)), { recursive: true });
    copyFileSync(join(root, path), join(main, path));
  }
  const { scripts: _scripts, devDependencies: _devDependencies, napi: _napi, ...published } = manifest;
  published.optionalDependencies = Object.fromEntries(platforms.map((platform) => [platform.manifest.name, manifest.version]));
  writeJson(join(main, 'package.json'), published);
  pack(main);

  for (const platform of platforms) {
    if (platform.manifest.version !== manifest.version) throw new Error(`${platform.manifest.name} is not ${manifest.version}`);
    const path = binary(platform.manifest.main);
    if (!path && options.all) throw new Error(`no binary for ${platform.manifest.name}: ${platform.manifest.main} was not found`);
    if (!path) continue;
    const folder = join(stage, platform.manifest.name);
    cpSync(platform.folder, folder, { recursive: true });
    copyFileSync(path, join(folder, platform.manifest.main));
    copyFileSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
    pack(folder);
  }
} finally {
  rmSync(stage, { recursive: true, force: true });
}
