'use strict';
// `rsipc run` and the commands that speak with it, in a run directory and a state directory of the test file's own.

const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const path = require('node:path');
const { once } = require('node:events');
const { after } = require('node:test');
const { spawn } = require('node:child_process');
const { ROOT, environment, fixture } = require('./modules.js');
const { alive, temporary } = require('./leavings.js');
const { happened, until } = require('./wait.js');

const CLI = path.join(ROOT, 'bin/rsipc.js');
const HOST = '127.0.0.1';
const place = temporary();
const env = environment(false, { RSIPC_RUN_DIR: path.join(place, 'run'), XDG_STATE_HOME: path.join(place, 'state') });

// A test that fails must not leave what it has started; workers end with what started them.
const started = new Set();
after(() => {
  for (const pid of started) if (alive(pid)) process.kill(pid, 'SIGKILL');
});

// Starts `rsipc …args`, with `input` to read. `said` is what it has written so far, `says` waits for it to write something.
function start(args, { cwd = place, variables = {}, input, command = [process.execPath, CLI] } = {}) {
  const child = spawn(command[0], [...command.slice(1), ...args], { cwd, env: { ...env, ...variables }, stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'] });
  child.stdin?.end(input);
  const run = { child, stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) child[name].setEncoding('utf8').on('data', (text) => (run[name] += text));
  started.add(child.pid);
  run.ended = once(child, 'close').then(([code, signal]) => {
    started.delete(child.pid);
    return { code, signal, stdout: run.stdout, stderr: run.stderr };
  });
  run.says = async (pattern) => {
    await until(() => pattern.test(run.stdout + run.stderr) || child.exitCode !== null || child.signalCode !== null, `${pattern}`)
      .catch((error) => { throw new Error(`${error.message}\n${run.stdout}${run.stderr}`); });
    const found = pattern.exec(run.stdout + run.stderr);
    if (found === null) throw new Error(`it ended without saying ${pattern}:\n${run.stdout}${run.stderr}`);
    return found;
  };
  return run;
}

// Runs a command to its end.
const rsipc = (...args) => start(args).ended;

// How a run is, as `rsipc ps` tells it.
async function status(name) {
  const { code, stdout, stderr } = await rsipc('ps', name, '--json');
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

// A program of the test's own; `source` is what it does with `port` and `http`.
function program(name, source) {
  const file = path.join(place, name);
  fs.writeFileSync(file, source);
  return file;
}

async function freePort() {
  const server = net.createServer().listen(0, HOST);
  await happened(server, 'listening');
  const { port } = server.address();
  server.close();
  await happened(server, 'close');
  return port;
}

function get(port, { path: where = '/', headers = {}, agent = false } = {}) {
  return new Promise((resolve, reject) => {
    http.get({ host: HOST, port, path: where, headers, agent }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (piece) => (text += piece)).on('end', () => resolve(text)).on('error', reject);
    }).on('error', reject);
  });
}

module.exports = { CLI, place, env, start, rsipc, status, program, freePort, get, fixture, started };
