'use strict';
// A run as people see it: a table of its workers.

const { size, duration, count, table, plural } = require('./text.js');

const NUMBERS = new Set([0, 1, 3, 4, 5, 6, 7, 8, 9]);

const time = (milliseconds) => (milliseconds === undefined ? '-' : milliseconds < 10_000 ? `${milliseconds} ms` : duration(milliseconds));
const sum = (workers, name) => workers.reduce((total, worker) => total + (worker[name] ?? 0), 0);

// Table of workers, a line each.
function workerLines(workers) {
  const rows = workers.map((worker) => [
    String(worker.place),
    worker.pid === undefined ? '-' : String(worker.pid),
    worker.state,
    count(worker.connections),
    count(worker.requestsPerSecond),
    count(worker.requests),
    time(worker.lag),
    worker.memory === undefined ? '-' : size(worker.memory),
    String(worker.restarts),
    worker.uptime === undefined ? '-' : duration(worker.uptime),
  ]);
  return table([['#', 'PID', 'STATE', 'CONN', 'REQ/S', 'REQUESTS', 'LAG', 'MEMORY', 'RESTARTS', 'UP'], ...rows], NUMBERS).split('\n');
}

function headLine(status) {
  const { workers } = status;
  const serving = workers.filter(({ state }) => state === 'listening').length;
  return [
    `${status.name} ${status.state}`,
    `${serving} of ${plural(status.instances, 'worker')}${status.addresses.length > 0 ? ` on ${status.addresses.join(', ')}` : ''}`,
    `${count(sum(workers, 'requestsPerSecond'))} req/s`,
    plural(sum(workers, 'connections'), 'connection'),
    ...(status.restarts > 0 ? [plural(status.restarts, 'restart')] : []),
    ...(status.reloads > 0 ? [plural(status.reloads, 'reload')] : []),
    `up ${duration(status.uptime)}`,
  ].join(' · ');
}

// All runs, a line each.
function runLines(runs) {
  const rows = runs.map((run) => {
    if (run.workers === undefined) return [run.name, '-', run.state, '-', '-', '-', '-', '-', '-', ''];
    const memory = sum(run.workers, 'memory');
    return [
      run.name,
      String(run.pid),
      run.state,
      `${run.workers.filter(({ state }) => state === 'listening' || state === 'online').length}/${run.instances}`,
      count(sum(run.workers, 'connections')),
      count(sum(run.workers, 'requestsPerSecond')),
      memory === 0 ? '-' : size(memory),
      String(run.restarts),
      duration(run.uptime),
      run.script,
    ];
  });
  return table([['NAME', 'PID', 'STATE', 'WORKERS', 'CONN', 'REQ/S', 'MEMORY', 'RESTARTS', 'UP', 'SCRIPT'], ...rows], new Set([1, 3, 4, 5, 6, 7, 8]));
}

module.exports = { workerLines, headLine, runLines };
