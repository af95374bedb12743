// Runs one of Node's test files, the way Node's own runner starts it, and says how it ended.
//
// Every file gets a folder for all it writes, a process group of its own, and an end to both: the group is killed when
// the test process has exited or its time is up, and so is any process that left the group but still carries the
// folder's name in its environment.

import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const PRELOAD = fileURLToPath(new URL('preload.cjs', import.meta.url));
const KEPT_OUTPUT = 64 * 1024;
// How long the pipes may stay open after the test process and its group are gone.
const PIPES_MS = 1000;
// A test in `sequential/` takes its port, and a few above it, from NODE_COMMON_PORT.
const PORTS = 16;

/** The folder called `test` of a Node checkout, given itself or as its parent. */
export function testFolder(folder) {
  for (const place of [path.resolve(folder, 'test'), path.resolve(folder)]) {
    if (fs.existsSync(path.join(place, 'common', 'index.js'))) return place;
  }
  throw new Error(`${folder} holds no test files of Node's; ci/node-tests.sh fetches them`);
}

/** What the comments of a test file ask of the one who starts it: `// Flags:` and `// Env:`. */
function header(text) {
  const words = (name) => new RegExp(`//\\s+${name}:(.*)`).exec(text)?.[1].trim().split(/\s+/).filter(Boolean) ?? [];
  return {
    flags: words('Flags'),
    env: Object.fromEntries(words('Env').map((pair) => pair.split(/=(.*)/s).slice(0, 2))),
  };
}

export class Session {
  #live = new Set();
  #root = fs.mkdtempSync(path.join(fs.realpathSync(os.tmpdir()), 'rsipc-node-'));
  #serial = 0;
  #port = freePorts();
  #options;

  /**
   * @param {object} options
   * @param {string} options.node       the binary to test with
   * @param {string} options.tests      the `test` folder
   * @param {number} options.timeout    seconds for each file
   * @param {string} [options.module]   what to install in place of `node:child_process`; nothing if not given
   * @param {string} [options.children] `stock` or `inherit`, see preload.cjs
   * @param {boolean} [options.trace]   note which functions of the module are reached
   * @param {number} [options.uid]      user to run as
   */
  constructor(options) {
    this.#options = options;
    fs.chmodSync(this.#root, 0o755);
  }

  /**
   * @param {string} file path below the `test` folder
   * @returns {Promise<{status: 'pass' | 'fail' | 'skip', reason: string, ms: number, reached: string[], output: string}>}
   */
  async run(file) {
    const { node, tests, timeout, uid } = this.#options;
    const source = path.join(tests, file);
    const { flags, env } = header(fs.readFileSync(source, 'utf8'));
    const folder = path.join(this.#root, String(++this.#serial));
    const cwd = path.join(folder, 'cwd');
    fs.mkdirSync(cwd, { recursive: true });
    // Some files name others by their path from the checkout, where Node's runner stands.
    fs.symlinkSync(tests, path.join(cwd, 'test'));
    const trace = path.join(folder, 'trace');
    const loading = this.#loader(folder, trace);
    if (uid !== undefined) for (const place of [folder, cwd]) fs.chownSync(place, uid, uid);

    const started = Date.now();
    const child = spawn(node, [...loading, ...flags, source], {
      cwd,
      env: {
        ...inheritedEnv(),
        ...env,
        NODE_TEST_DIR: folder,
        NODE_COMMON_PORT: String(await this.#port),
        TEST_SERIAL_ID: '0',
        TEST_THREAD_ID: '0',
        ...(file.startsWith('sequential/') ? {} : { TEST_PARALLEL: '1' }),
        // Not the caller's: root's hold folders that others may not enter.
        ...(uid === undefined ? {} : { HOME: folder, PATH: '/usr/local/bin:/usr/bin:/bin' }),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      // Makes the child the leader of a new process group.
      detached: true,
      ...(uid === undefined ? {} : { uid, gid: uid }),
    });
    const test = { child, folder };
    this.#live.add(test);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('latin1');
      stream.on('data', (text) => { output = (output + text).slice(-KEPT_OUTPUT); });
    }
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      endGroup(child);
    }, timeout * 1000);
    const { code, signal, error } = await new Promise((resolve) => {
      child.once('error', (cause) => resolve({ error: cause }));
      child.once('exit', (...how) => resolve({ code: how[0], signal: how[1] }));
    });
    clearTimeout(timer);
    await this.#end(test);
    const reached = fs.existsSync(trace) ? [...new Set(fs.readFileSync(trace, 'utf8').split('\n').filter(Boolean))] : [];
    fs.rmSync(folder, { recursive: true, force: true });

    // The line that `common.skip()` prints.
    const skipped = code === 0 ? /^1\.\.0 # Skipped(?:: (.*))?/m.exec(output) : null;
    const reason = error?.message ?? (late ? `no end within ${timeout} s` : skipped ? skipped[1] ?? '' :
      code === 0 ? '' : signal ? `ended by ${signal}` : `exit code ${code}`);
    const status = skipped ? 'skip' : code === 0 && !late ? 'pass' : 'fail';
    return { status, reason, ms: Date.now() - started, reached, output };
  }

  /** Ends whatever still runs and removes all folders. */
  close() {
    for (const { child, folder } of this.#live) {
      endGroup(child);
      endStrays(folder);
    }
    fs.rmSync(this.#root, { recursive: true, force: true, maxRetries: 3 });
  }

  #loader(folder, trace) {
    const { module: entry, children = 'stock' } = this.#options;
    if (entry === undefined) return [];
    const loader = path.join(folder, 'load.cjs');
    const settings = { loader, entry, children, trace: this.#options.trace ? trace : undefined };
    fs.writeFileSync(loader, `require(${JSON.stringify(PRELOAD)})(${JSON.stringify(settings)});\n`);
    return ['--require', loader];
  }

  async #end(test) {
    const { child, folder } = test;
    const closed = new Promise((resolve) => {
      if (child.stdout.closed && child.stderr.closed) resolve();
      child.once('close', resolve);
      setTimeout(resolve, PIPES_MS).unref();
    });
    endGroup(child);
    endStrays(folder);
    await closed;
    child.stdout.destroy();
    child.stderr.destroy();
    this.#live.delete(test);
  }
}

/** Our environment without what would steer the Node that is tested. */
function inheritedEnv() {
  const foreign = /^(NODE_|FORCE_COLOR$|NO_COLOR$|TEST_)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)));
}

function endGroup(child) {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

/** Kills what a test has detached from its group. Linux alone shows the environment of a process. */
function endStrays(folder) {
  if (process.platform !== 'linux') return;
  const mark = `NODE_TEST_DIR=${folder}\0`;
  for (const pid of fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (fs.readFileSync(`/proc/${pid}/environ`, 'latin1').includes(mark)) process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It ended in the meantime, or is another user's.
    }
  }
}

/** The first of a row of ports that nobody listens on, so that two runs on one machine do not meet. */
async function freePorts() {
  for (let first = 12346 + (process.pid % 500) * PORTS; ; first += PORTS) {
    const tried = await Promise.all(Array.from({ length: PORTS }, (_, nth) => isFree(first + nth)));
    if (tried.every(Boolean)) return first;
  }
}

function isFree(port) {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(false));
    server.listen(port, () => server.close(() => resolve(true)));
  });
}
