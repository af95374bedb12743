// One of four workers does nothing for a while, under load: `node __test__/cluster/stalled.mjs [MILLISECONDS] [TIMES]`.
//
// So often it is stopped (SIGSTOP), then so often kept busy by a loop. Each request has a connection of its own. None may
// fail; what the slowest took is told, of all requests and of those that the worker had not begun with.
import assert from 'node:assert';
import http from 'node:http';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { once } from 'node:events';

const require = createRequire(import.meta.url);
const { cluster } = require('../../index.js');
const { kClaims } = require('../../lib/cluster/worker.js');

const [time = 2_000, times = 2] = process.argv.slice(2).map(Number);
const WORKERS = 4;
const CLIENTS = 16;

cluster.setupPrimary({ exec: fileURLToPath(new URL('../fixtures/cluster/say-id.js', import.meta.url)), args: [] });
const workers = Array.from({ length: WORKERS }, () => cluster.fork());
const [{ port }] = (await Promise.all(workers.map((worker) => once(worker, 'listening'))))[0];
while (!workers.every((worker) => worker[kClaims])) await new Promise(setImmediate);

function ask(path) {
  return new Promise((resolve, reject) => {
    const begin = performance.now();
    http.get({ port, host: '127.0.0.1', path, agent: false }, (response) => {
      let id = '';
      response.setEncoding('utf8').on('data', (text) => { id += text; }).on('end', () => resolve({ id, took: performance.now() - begin }));
    }).on('error', reject);
  });
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
let failed = 0;

async function under(what, stall) {
  const results = [];
  let going = true;
  const stalled = new Set();
  const clients = Array.from({ length: CLIENTS }, async () => {
    while (going) {
      await ask('/').then((result) => results.push(result), () => failed++);
    }
  });
  await pause(200);
  for (let round = 0; round < times; round++) {
    stalled.add(await stall());
    await pause(200);
  }
  going = false;
  await Promise.all(clients);
  const slowest = (all) => Math.ceil(Math.max(...all.map(({ took }) => took)));
  const elsewhere = results.filter(({ id }) => !stalled.has(id));
  const late = results.filter(({ took }) => took > time / 2).length;
  console.log(`${what} for ${time} ms, ${times} times: ${results.length} requests, ${failed} failed; ${late} waited for the worker, ${slowest(results)} ms at most; the slowest of other workers took ${slowest(elsewhere)} ms`);
}

try {
  await under('stopped', async () => {
    workers[0].process.kill('SIGSTOP');
    await pause(time);
    workers[0].process.kill('SIGCONT');
    return `${workers[0].id}`;
  });
  await under('busy', async () => {
    const { id } = await ask(`/block/${time}`); // answers first
    await pause(time);
    return id;
  });
  assert.strictEqual(failed, 0);
} finally {
  for (const worker of workers) worker.process.kill('SIGKILL');
  await Promise.all(workers.map((worker) => worker.isDead() || once(worker, 'exit')));
}
