// Installs the packed packages into empty folders and uses them: `node __test__/smoke/run.mjs FOLDER`, where FOLDER is
// what ci/pack.mjs filled. ci/pack-smoke.sh does both.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, realpathSync, rmSync, statSync, writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, sep } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { serve } from './registry.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const app = fileURLToPath(new URL('app', import.meta.url));
const packed = process.argv[2];
const readJson = (...parts) => JSON.parse(readFileSync(join(...parts), 'utf8'));
const { version } = readJson(root, 'package.json');
const platforms = readdirSync(join(root, 'npm')).map((name) => readJson(root, 'npm', name, 'package.json'));
const native = platforms.find(({ name, os, cpu }) => existsSync(join(packed, `${name}-${version}.tgz`))
  && os.includes(process.platform) && cpu.includes(process.arch));

// Everything that may be in the main package. What is not here was not meant to be published.
const allowed = [
  /^(package\.json|README\.md|LICENSE|CHANGELOG\.md)$/,
  /^(index|cluster)\.(js|mjs|d\.ts|d\.mts)$/,
  /^register\.(js|d\.ts)$/,
  /^node-ipc\.d\.ts$/,
  /^lib\/([a-z-]+\/)*[a-z-]+\.js$/,
  /^bin\/rsipc\.js$/,
];
const mainLimit = 900_000;
const binaryLimit = 3_000_000;

let registry;
let work;
let installed; // with the platform's package
let bare; // without

function run(command, args, { cwd, env }) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'], timeout: 120_000 });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr']) child[name].setEncoding('utf8').on('data', (text) => (output[name] += text));
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ ...output, end: signal ?? code }));
  });
}

// A new project with rsipc in it, installed by npm from the registry here, with an empty cache, without scripts.
async function project(name, ...args) {
  const cwd = join(work, name);
  cpSync(app, cwd, { recursive: true });
  writeFileSync(join(cwd, 'package.json'), '{ "private": true }\n');
  const list = [
    'install', 'rsipc', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', `--registry=${registry.url}`,
    `--cache=${join(work, `cache-${name}`)}`, '--noproxy=127.0.0.1', ...args,
  ];
  const windows = process.platform === 'win32';
  const { end, stdout, stderr } = await run(windows ? 'cmd' : 'npm', windows ? ['/c', 'npm', ...list] : list, { cwd });
  assert.equal(end, 0, stdout + stderr);
  return cwd;
}

// Runs a program of the project; it must end well and say so, and say nothing else.
async function works(cwd, args, env) {
  assert.deepEqual(await run(process.execPath, args, { cwd, env }), { stdout: 'works\n', stderr: '', end: 0 });
}

const filesOf = (folder) => readdirSync(folder, { recursive: true })
  .filter((path) => statSync(join(folder, path)).isFile())
  .map((path) => path.split(sep).join('/'));
const bytesOf = (folder) => filesOf(folder).reduce((sum, path) => sum + statSync(join(folder, path)).size, 0);

before(async () => {
  assert.ok(native, `no package for ${process.platform}-${process.arch} in ${packed}`);
  work = mkdtempSync(join(realpathSync(tmpdir()), 'rsipc-smoke-'));
  registry = await serve(packed, platforms);
  installed = await project('installed');
  bare = await project('bare', '--omit=optional');
});

after(async () => {
  await registry?.close();
  if (work) rmSync(work, { recursive: true, force: true });
});

test('npm installs the package, and of the platform packages only this machine’s', () => {
  const folders = readdirSync(join(installed, 'node_modules')).filter((name) => !name.startsWith('.')).sort();
  assert.deepEqual(folders, ['rsipc', native.name].sort());
  const tarballs = registry.requested.filter((url) => url.endsWith('/tarball'));
  assert.deepEqual([...new Set(tarballs)].sort(), [`/${native.name}/tarball`, '/rsipc/tarball'].sort());
});

test('neither package has an install script or a dependency', () => {
  for (const name of ['rsipc', native.name]) {
    const manifest = readJson(installed, 'node_modules', name, 'package.json');
    for (const field of ['scripts', 'dependencies', 'peerDependencies', 'bundleDependencies', 'gypfile']) {
      assert.equal(manifest[field], undefined, `${name} has ${field}`);
    }
    assert.deepEqual(manifest.bin, name === 'rsipc' ? { rsipc: 'bin/rsipc.js' } : undefined);
    assert.equal(manifest.license, 'MIT');
    assert.equal(manifest.version, version);
  }
});

test('the main package asks for every platform package, in its own version', () => {
  const { optionalDependencies } = readJson(installed, 'node_modules/rsipc/package.json');
  assert.deepEqual(optionalDependencies, Object.fromEntries(platforms.map(({ name }) => [name, version]).sort()));
});

test('the main package holds what it needs and nothing else', () => {
  const files = filesOf(join(installed, 'node_modules/rsipc'));
  assert.deepEqual(files.filter((file) => !allowed.some((pattern) => pattern.test(file))), []);
  for (const file of ['README.md', 'LICENSE', 'CHANGELOG.md', 'index.js', 'index.mjs', 'index.d.ts', 'register.js', 'cluster.js', 'cluster.d.ts', 'lib/node-ipc/index.js', 'node-ipc.d.ts']) {
    assert.ok(files.includes(file), `${file} is missing`);
  }
});

test('the platform package holds the binary, its manifest, a readme and the licence', () => {
  assert.deepEqual(filesOf(join(installed, 'node_modules', native.name)).sort(),
    ['LICENSE', 'README.md', 'package.json', native.main].sort());
});

test('both packages stay small', (t) => {
  const sizes = { rsipc: bytesOf(join(installed, 'node_modules/rsipc')), [native.name]: bytesOf(join(installed, 'node_modules', native.name)) };
  for (const [name, size] of Object.entries(sizes)) t.diagnostic(`${name}: ${(size / 1000).toFixed(1)} kB installed`);
  assert.ok(sizes.rsipc < mainLimit);
  assert.ok(sizes[native.name] < binaryLimit, 'a debug build?');
});

test('require gives a fork that talks to an unmodified child', () => works(installed, ['parent.cjs']));

test('import gives the same', () => works(installed, ['parent.mjs']));

test('node -r rsipc/register makes child_process ours', () => works(installed, ['-r', 'rsipc/register', 'parent.cjs', 'rsipc']));

test('node --import rsipc/register does too', () => works(installed, ['--import', 'rsipc/register', 'parent.cjs', 'rsipc']));

test('RSIPC_DISABLE=1 turns rsipc/register off', () =>
  works(installed, ['-r', 'rsipc/register', 'parent.cjs', 'node'], { RSIPC_DISABLE: '1' }));

test('the types are found from CommonJS and from ES modules', async () => {
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  const types = join(root, 'node_modules/@types');
  const args = [compiler, '--noEmit', '--strict', '--target', 'es2022', '--module', 'node20', '--typeRoots', types, '--types', 'node', 'types.cts', 'types.mts'];
  assert.deepEqual(await run(process.execPath, args, { cwd: installed }), { stdout: '', stderr: '', end: 0 });
});

test('without its platform package it warns, names the package and the remedy, and leaves everything to Node', async () => {
  assert.deepEqual(readdirSync(join(bare, 'node_modules')).filter((name) => !name.startsWith('.')), ['rsipc']);
  const { stdout, stderr, end } = await run(process.execPath, ['-r', 'rsipc/register', 'parent.cjs', 'node'], { cwd: bare });
  assert.deepEqual({ stdout, end }, { stdout: 'works\n', end: 0 }, stderr);
  assert.match(stderr, /RSIPC_NO_BINDING/);
  assert.ok(stderr.includes(native.name), stderr);
  assert.ok(stderr.includes('npm install --include=optional rsipc'), stderr);
});
