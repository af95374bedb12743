'use strict';
// The primary under load: `node parent.js '{"moduleName":…}'` prints one line of JSON with its value.

const { execFile } = require('node:child_process');
const path = require('node:path');

const job = JSON.parse(process.argv[2]);
const rsipc = job.moduleName !== 'node:cluster';
const cluster = rsipc ? require(job.moduleName).cluster : require('node:cluster');

function wrk(port, seconds) {
  const headers = job.headers.flatMap((header) => ['-H', header]);
  return new Promise((resolve, reject) => {
    execFile('wrk', ['-t1', `-c${job.connections}`, `-d${seconds}s`, '--latency', ...headers, `http://127.0.0.1:${port}/`], (error, stdout) => {
      if (error) reject(error);
      else if (/Non-2xx|connect [1-9]|timeout [1-9]/.test(stdout)) reject(new Error(`requests failed: ${stdout}`));
      else resolve(stdout);
    });
  });
}

const served = () => Promise.all(Object.values(cluster.workers).map((worker) => new Promise((resolve) => {
  worker.once('message', resolve);
  worker.send('served');
})));

const UNITS = { us: 1e-3, ms: 1, s: 1e3 };

function milliseconds(text) {
  const [, number, unit] = /^([\d.]+)(us|ms|s)$/.exec(text);
  return Number(number) * UNITS[unit];
}

async function main() {
  if (!rsipc && job.beside === 'none') cluster.schedulingPolicy = cluster.SCHED_NONE;
  cluster.setupPrimary({ exec: path.join(__dirname, 'worker.js'), args: [] });
  const addresses = await Promise.all(Array.from({ length: job.workers }, () => new Promise((resolve) => {
    cluster.fork().once('listening', resolve);
  })));
  const { port } = addresses[0];
  await wrk(port, 1);
  const before = await served();
  const { user, system } = process.cpuUsage();
  const output = await wrk(port, job.total);
  const used = process.cpuUsage();
  const counts = (await served()).map((count, i) => count - before[i]);
  const requests = Number(/(\d+) requests in/.exec(output)[1]);
  const results = {
    rate: Number(/Requests\/sec:\s+([\d.]+)/.exec(output)[1]),
    p99: milliseconds(/^\s+99%\s+(\S+)/m.exec(output)[1]),
    cpu: (used.user + used.system - user - system) / requests,
    busiest: 100 * Math.max(...counts) / counts.reduce((sum, count) => sum + count),
  };
  process.stdout.write(JSON.stringify({ value: results[job.result] }));
  for (const worker of Object.values(cluster.workers)) worker.process.kill('SIGKILL');
}

main();
