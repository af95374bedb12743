'use strict';
// Workers are replaced without a request being lost, and started again when they end by themselves.

const assert = require('node:assert');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { test, afterEach } = require('node:test');
const { cluster, workers, end, get } = require('../helpers/cluster.js');
const { fixture } = require('../helpers/modules.js');
const { leavesNothing, temporary } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');

leavesNothing();
afterEach(end);

let file;

function versioned(count, settings) {
  file ??= path.join(temporary(), 'version');
  fs.writeFileSync(file, 'one');
  return workers('versioned', count, { env: { VERSION_FILE: file }, ...settings });
}

// Requests one after the other over kept-alive connections, until told to stop; answers what came.
function load(port, clients) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: clients });
  let stopped = false;
  const answers = [];
  const client = async () => {
    while (!stopped) {
      answers.push(await new Promise((resolve, reject) => {
        http.get({ port, host: '127.0.0.1', agent }, (response) => {
          let body = '';
          response.setEncoding('utf8').on('data', (text) => { body += text; }).on('end', () => resolve(body)).on('error', reject);
        }).on('error', reject);
      }));
    }
  };
  const done = Promise.all(Array.from({ length: clients }, client));
  done.catch(() => {}); // told by `stop`
  return {
    answers,
    async stop() {
      stopped = true;
      await done;
      agent.destroy();
      return answers;
    },
  };
}

test('a reload brings new code, and no request on a kept-alive connection fails', async () => {
  const { port, workers: old } = await versioned(2);
  const clients = load(port, 4);
  await until(() => clients.answers.length > 50, 'some requests');
  fs.writeFileSync(file, 'two');
  const fresh = await cluster.reload();
  assert.strictEqual(fresh.length, 2);
  assert.deepStrictEqual(Object.keys(cluster.workers), fresh.map((worker) => `${worker.id}`));
  assert.ok(old.every((worker) => worker.isDead() && worker.process.exitCode === 0 && worker.exitedAfterDisconnect));
  const before = clients.answers.length;
  await until(() => clients.answers.length > before + 50, 'more requests');
  const answers = await clients.stop();
  assert.deepStrictEqual([...new Set(answers.map((answer) => answer.split(' ')[0]))], ['one', 'two']);
});

for (const [what, version] of [['ends at its start', 'crash'], ['never listens', 'silent']]) {
  test(`a new worker that ${what} leaves the old ones in place, and the reason is told`, async () => {
    const { port, workers: old } = await versioned(2);
    fs.writeFileSync(file, version);
    await assert.rejects(cluster.reload({ timeout: version === 'crash' ? 60_000 : 500 }), { code: 'ERR_RSIPC_WORKER_NOT_READY', message: version === 'crash' ? /code 7/ : /0 of 1/ });
    await until(() => Object.keys(cluster.workers).length === 2, 'the new one to be gone');
    assert.deepStrictEqual(Object.values(cluster.workers), old);
    assert.match(await get(port), /^one/);
  });
}

test('one reload at a time', async () => {
  await versioned(1);
  const first = cluster.reload();
  await assert.rejects(cluster.reload(), { code: 'ERR_RSIPC_RELOADING' });
  await first;
  await cluster.reload();
});

test('a worker that is killed is started again, with its variables', async () => {
  const { workers: [worker] } = await versioned(1, { respawn: { delay: 1 } });
  const forked = happened(cluster, 'fork');
  worker.process.kill('SIGKILL');
  const [next] = await forked;
  const [{ port }] = await happened(next, 'listening');
  assert.match(await get(port), new RegExp(`^one ${next.id}$`));
  const gone = happened(next, 'exit');
  cluster.disconnect();
  await gone;
  assert.deepStrictEqual(cluster.workers, {});
});

test('workers that end at their start are given up after some, and told of once', async () => {
  file ??= path.join(temporary(), 'version');
  fs.writeFileSync(file, 'crash');
  cluster.settings = {};
  cluster.setupPrimary({ exec: fixture('cluster/versioned'), args: [], execArgv: [], respawn: { delay: 1, limit: 3 } });
  let forks = 0;
  const count = () => forks++;
  cluster.on('fork', count);
  const told = happened(cluster, 'crashLoop');
  cluster.fork({ VERSION_FILE: file });
  const [error] = await told;
  cluster.removeListener('fork', count);
  assert.strictEqual(error.code, 'ERR_RSIPC_CRASH_LOOP');
  assert.strictEqual(forks, 4);
});

test('a broadcast says for each worker whether it has been sent', async () => {
  const { workers: [first, second] } = await workers('say-id', 2);
  const echoes = Promise.all([happened(first, 'message'), happened(second, 'message')]);
  assert.deepStrictEqual(await cluster.broadcast({ to: 'all' }), [{ worker: first, error: null }, { worker: second, error: null }]);
  assert.deepStrictEqual((await echoes).map(([message]) => message), [{ to: 'all' }, { to: 'all' }]);
  second.process.disconnect();
  const results = await cluster.broadcast('again');
  assert.deepStrictEqual(results.map(({ error }) => error?.code ?? null), [null, 'ERR_IPC_CHANNEL_CLOSED']);
});

test('settings that cannot be are refused before anything is started', () => {
  for (const settings of [{ scheduling: 'random' }, { respawn: 'yes' }, { respawn: { limit: 0 } }]) {
    assert.throws(() => cluster.setupPrimary(settings), (error) => error.code.startsWith('ERR_'));
  }
});
