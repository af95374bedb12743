'use strict';
// A cluster in the test's own process, and connections to it.

const http = require('node:http');
const net = require('node:net');
const { rsipc, fixture, environment } = require('./modules.js');
const { happened, until } = require('./wait.js');

const { cluster } = rsipc;

// The first primary starts a thread, which has descriptors of its own and stays.
require('../../lib/binding.js').Primary.open();

// `count` workers of a fixture that listen; answers them and the port.
async function workers(name, count, { env = {}, ...settings } = {}) {
  cluster.settings = {};
  cluster.setupPrimary({ exec: fixture(`cluster/${name}`), args: [], execArgv: [], ...settings });
  const inherited = environment(false);
  for (const variable of Object.keys(process.env)) if (!(variable in inherited)) delete process.env[variable];
  const started = Array.from({ length: count }, () => cluster.fork(env));
  const addresses = await Promise.all(started.map(async (worker) => (await happened(worker, 'listening'))[0]));
  return { workers: started, port: addresses[0].port, address: addresses[0].address };
}

// Ends all workers.
async function end() {
  cluster.settings = {};
  const ends = Object.values(cluster.workers).map((worker) => {
    const exited = worker.isDead() ? undefined : happened(worker, 'exit');
    worker.process.kill('SIGKILL');
    return exited;
  });
  await Promise.all(ends);
  await until(() => Object.keys(cluster.workers).length === 0, 'the end of all workers');
}

// One request on a connection of its own; resolves with the body.
function get(target, path = '/') {
  return new Promise((resolve, reject) => {
    const where = typeof target === 'string' ? { socketPath: target } : { port: target, host: '127.0.0.1' };
    http.get({ ...where, path, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text) => { body += text; }).on('end', () => resolve(body)).on('error', reject);
    }).on('error', reject);
  });
}

// What a connection is told until its end.
function told(port) {
  return new Promise((resolve, reject) => {
    let text = '';
    net.connect(port, '127.0.0.1').setEncoding('utf8').on('data', (more) => { text += more; }).on('end', () => resolve(text)).on('error', reject);
  });
}

module.exports = { cluster, workers, end, get, told };
