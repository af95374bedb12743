'use strict';
// The primary under load: `node parent.js '{"moduleName":…}'` prints one line of JSON with its value.

const { execFile } = require('node:child_process');
const path = require('node:path');

const job = JSON.parse(process.argv[2]);
const rsipc = job.moduleName !== 'node:cluster';
const cluster = rsipc ? require(job.moduleName).cluster : require('node:cluster');

// How long a step may take beside its seconds under load.
const STEP = 20_000;

// What does not come says so: the workers, which have this program's standard streams, would keep it looking alive.
function within(promise, what, milliseconds = STEP) {
  let timer;
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${milliseconds / 1e3} s: ${what}`)), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function wrk(port, seconds) {
  const headers = job.headers.flatMap((header) => ['-H', header]);
  return new Promise((resolve, reject) => {
    execFile('wrk', ['-t1', `-c${job.connections}`, `-d${seconds}s`, '--latency', ...headers, `http://127.0.0.1:${port}/`], { timeout: seconds * 1e3 + STEP, killSignal: 'SIGKILL' }, (error, stdout) => {
      if (error) reject(error.killed ? new Error(`wrk has not ended ${STEP / 1e3} s after its time`) : error);
      else if (/Non-2xx|connect [1-9]|timeout [1-9]/.test(stdout)) reject(new Error(`requests failed: ${stdout}`));
      else resolve(stdout);
    });
  });
}

const served = () => within(Promise.all(Object.values(cluster.workers).map((worker) => new Promise((resolve) => {
  worker.once('message', resolve);
  worker.send('served');
}))), 'what the workers have served');

const UNITS = { us: 1e-3, ms: 1, s: 1e3 };

function milliseconds(text) {
  const [, number, unit] = /^([\d.]+)(us|ms|s)$/.exec(text);
  return Number(number) * UNITS[unit];
}

// Starts the server; answers its port. `job.ours` and `job.beside` are how connections come to workers with rsipc and beside it.
async function start() {
  const way = rsipc ? job.ours : job.beside;
  const file = path.join(__dirname, job.result === 'handover' ? 'taker.js' : 'worker.js');
  if (way === 'one process') return new Promise((resolve) => { require(file).once('listening', function () { resolve(this.address().port); }); });
  if (way === 'SCHED_NONE') cluster.schedulingPolicy = cluster.SCHED_NONE;
  else if (rsipc && way !== undefined) cluster.setupPrimary({ scheduling: way });
  cluster.setupPrimary({ exec: file, args: [] });
  const env = way === 'reusePort' ? { REUSE_PORT: `${await freePort()}` } : {};
  const addresses = await within(Promise.all(Array.from({ length: job.workers }, () => new Promise((resolve) => {
    cluster.fork(env).once('listening', resolve);
  }))), 'workers that listen');
  return addresses[0].port;
}

// Workers that do not ask the primary have to know theirs.
function freePort() {
  return new Promise((resolve) => {
    const server = require('node:net').createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function load(port) {
  await wrk(port, 1);
  const before = await served();
  const { user, system } = process.cpuUsage();
  const output = await wrk(port, job.total);
  const used = process.cpuUsage();
  const after = await served();
  const grown = (field) => after.map((now, i) => now[field] - before[i][field]);
  const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
  const requests = Number(/(\d+) requests in/.exec(output)[1]);
  return {
    rate: Number(/Requests\/sec:\s+([\d.]+)/.exec(output)[1]),
    p99: milliseconds(/^\s+99%\s+(\S+)/m.exec(output)[1]),
    cpu: (used.user + used.system - user - system) / requests,
    workersCpu: sum(grown('cpu')) / requests,
    busiest: 100 * Math.max(...grown('served')) / sum(grown('served')),
  };
}

// Sockets a second from one who waits to be accepted to a worker that has adopted it. Another process stops this one, connects
// so many times, and lets it go on; the worker says when the first and when the last came.
async function handOver(port) {
  const [worker] = Object.values(cluster.workers);
  const rates = [];
  for (let round = 0; round < job.total; round++) {
    const said = new Promise((resolve) => { worker.once('message', resolve); });
    worker.send(job.connections);
    execFile(process.execPath, [path.join(__dirname, 'crowd.js'), `${process.pid}`, `${port}`, `${job.connections}`], (error) => { if (error) throw error; });
    rates.push(1e9 * (job.connections - 1) / await said);
  }
  return { handover: rates.sort((one, other) => one - other)[rates.length >> 1] };
}

async function main() {
  const port = await start();
  const results = job.result === 'handover' ? await handOver(port) : await load(port);
  process.stdout.write(JSON.stringify({ value: results[job.result] }));
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
}).finally(() => {
  for (const worker of Object.values(cluster.workers ?? {})) worker.process.kill('SIGKILL');
  if (job.beside === 'one process') setImmediate(() => process.exit());
});
