// Makes a checkout ready to run: development dependencies installed, addon built. `npm test`, `npm run demo` and
// `npm run bench` begin with it, so a fresh clone needs no step of its own. It compares times of files, as make does,
// and says nothing when all is current.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, utimesSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const inRoot = (...parts) => join(root, ...parts);

// Ends the set-up with what is missing and how to get it; a stack trace would bury both.
function stop(...lines) {
  console.error(['', ...lines, ''].map((line) => (line ? `rsipc: ${line}` : line)).join('\n'));
  process.exit(1);
}

function say(text) {
  console.error(`rsipc: ${text}`);
}

// What a command prints, or undefined when there is no such command.
function ask(command, ...args) {
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

function run(what, command, args) {
  say(`${what} …`);
  const started = Date.now();
  const { status, signal, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) stop(`${what} failed: ${error?.message ?? signal ?? `exit code ${status}`}`);
  say(`${what}: done in ${((Date.now() - started) / 1000).toFixed(1)} s`);
}

// npm is a script. Under `npm run` its path is known; elsewhere, Windows finds `npm` only as `npm.cmd`, through cmd.
function npm(what, ...args) {
  const script = process.env.npm_execpath;
  if (script?.endsWith('.js')) run(what, process.execPath, [script, ...args]);
  else if (process.platform === 'win32') run(what, 'cmd', ['/c', 'npm', ...args]);
  else run(what, 'npm', args);
}

const modified = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

function checkNode() {
  const wanted = Number(/\d+/.exec(JSON.parse(readFileSync(inRoot('package.json'), 'utf8')).engines.node)[0]);
  if (Number.parseInt(process.versions.node, 10) >= wanted) return;
  stop(`Node.js ${wanted} or newer is needed; this is ${process.version} (${process.execPath}).`,
    'Get one at https://nodejs.org/en/download, or with a version manager such as nvm or fnm.');
}

function checkRust() {
  // rustup changes PATH for new shells only: whoever has just installed Rust is still in an old one.
  const home = join(process.env.CARGO_HOME ?? join(homedir(), '.cargo'), 'bin');
  if (!ask('cargo', '--version')) process.env.PATH = `${home}${delimiter}${process.env.PATH}`;
  const version = /^cargo (\d+)\.(\d+)/.exec(ask('cargo', '--version') ?? '');
  const wanted = /^rust-version = "(\d+)\.(\d+)/m.exec(readFileSync(inRoot('Cargo.toml'), 'utf8'));
  const need = `${wanted[1]}.${wanted[2]}`;
  if (!version) {
    stop(`cargo was not found: a checkout builds its addon, which takes Rust ${need} or newer.`,
      'Get it at https://rustup.rs:  curl --proto =https --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y',
      'then open a new shell and try again. (The package on npm needs no Rust: it comes prebuilt.)');
  }
  if (Number(version[1]) * 1000 + Number(version[2]) < Number(wanted[1]) * 1000 + Number(wanted[2])) {
    stop(`Rust ${need} or newer is needed; this is ${version[1]}.${version[2]}.`, 'Update it:  rustup update stable');
  }
  if (process.platform !== 'win32' && !ask('cc', '--version')) {
    stop('no C compiler was found: Rust links with `cc`.', process.platform === 'darwin'
      ? 'Get it:  xcode-select --install'
      : 'Get it:  apt-get install -y gcc libc6-dev   (or your distribution\'s build tools)');
  }
}

function installDependencies() {
  // npm writes this file last, so it says when an installation was complete.
  const installed = modified(inRoot('node_modules', '.package-lock.json'));
  if (installed > 0 && installed >= modified(inRoot('package-lock.json'))) return;
  npm('installing development dependencies', 'ci', '--no-audit', '--no-fund', '--loglevel=error');
  const now = new Date();
  utimesSync(inRoot('node_modules', '.package-lock.json'), now, now);
}

// Everything the addon is made from: manifests, and the sources of the crates without their own tests.
function newestSource() {
  const files = ['Cargo.toml', 'Cargo.lock', 'build.rs', 'package.json'].map((name) => inRoot(name));
  const folders = [inRoot('src'), ...readdirSync(inRoot('crates')).flatMap((crate) => {
    files.push(inRoot('crates', crate, 'Cargo.toml'));
    return [inRoot('crates', crate, 'src')];
  })];
  for (let folder = folders.pop(); folder; folder = folders.pop()) {
    for (const entry of existsSync(folder) ? readdirSync(folder, { withFileTypes: true }) : []) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) folders.push(path);
      else if (entry.name.endsWith('.rs')) files.push(path);
    }
  }
  return Math.max(...files.map(modified));
}

// The binary of this platform, whatever the last part of its name says about libc.
function addon() {
  const start = `rsipc.${process.platform}-${process.arch}`;
  const name = readdirSync(inRoot('lib')).find((file) => file.startsWith(start) && file.endsWith('.node'));
  return name && inRoot('lib', name);
}

function buildAddon() {
  const built = addon();
  if (built && existsSync(inRoot('lib', 'native.js')) && modified(built) >= newestSource()) return;
  checkRust();
  const begun = new Date();
  // napi's cache of types keeps what the sources no longer have.
  npm('building the addon', 'run', '--silent', 'build', '--', '--no-dts-cache');
  const path = addon();
  if (!path) stop('the build left no addon for this platform in lib/.');
  // Cargo may have found nothing to do, and then the file would stay older than its sources; those that were changed
  // during the build it has not read.
  utimesSync(path, begun, begun);
}

checkNode();
installDependencies();
buildAddon();
