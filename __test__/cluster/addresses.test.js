'use strict';
// What workers can listen on, and what becomes of long connections when they are replaced.

const assert = require('node:assert');
const dgram = require('node:dgram');
const http = require('node:http');
const net = require('node:net');
const path = require('node:path');
const { test, afterEach } = require('node:test');
const { cluster, workers, end, get } = require('../helpers/cluster.js');
const { leavesNothing, temporary } = require('../helpers/leavings.js');
const { fixture } = require('../helpers/modules.js');
const { happened, until } = require('../helpers/wait.js');

leavesNothing();
afterEach(end);

const listen = (options, count = 2, settings = {}) => workers('listens', count, { env: { LISTEN: JSON.stringify(options) }, ...settings });
const ids = (all) => all.map(({ id }) => `${id}`).sort();

// Workers, and what each says that its address is, or why it has none: one that is exclusive is not the cluster's.
async function addressesOf(options) {
  cluster.settings = {};
  cluster.setupPrimary({ exec: fixture('cluster/listens'), args: [], execArgv: [] });
  const both = [1, 2].map(() => cluster.fork({ LISTEN: JSON.stringify(options) }));
  return { both, said: await Promise.all(both.map(async (worker) => (await happened(worker, 'message'))[0])) };
}

test('datagrams to one port reach the workers, and a reload leaves somebody to receive them', async () => {
  const { workers: old, address, port } = await listen({ udp: 'udp4', port: 0, address: '127.0.0.1' });
  const client = dgram.createSocket('udp4');
  const ask = async () => {
    const answer = happened(client, 'message', 1_000).catch(() => undefined);
    client.send('who', port, address);
    return (await answer)?.[0].toString();
  };
  try {
    assert.ok(ids(old).includes(await ask()));
    const fresh = await cluster.reload();
    assert.ok(ids(fresh).includes(await ask()));
  } finally {
    client.close();
  }
});

test('port 0 is one port for all workers, and exclusive is one for each', async () => {
  const ports = async (options) => {
    const { both, said } = await addressesOf({ port: 0, host: '127.0.0.1', ...options });
    return { both, each: said.map(({ address: { port } }) => port) };
  };
  const { each: [first, second] } = await ports({});
  assert.strictEqual(first, second);
  await end();
  const { both, each: own } = await ports({ exclusive: true });
  assert.notStrictEqual(own[0], own[1]);
  assert.deepStrictEqual([await get(own[0]), await get(own[1])], both.map(({ id }) => `${id}`));
});

test('an address that is taken is an error of every worker, and of nobody else', async () => {
  const taken = net.createServer().listen(0, '127.0.0.1');
  await happened(taken, 'listening');
  const { said } = await addressesOf({ port: taken.address().port, host: '127.0.0.1' });
  assert.deepStrictEqual(said, [{ error: 'EADDRINUSE' }, { error: 'EADDRINUSE' }]);
  taken.close();
});

const hasIpv6 = Object.values(require('node:os').networkInterfaces()).flat().some(({ address }) => address === '::1');

test('ipv6Only keeps IPv4 out', { skip: !hasIpv6 }, async () => {
  const { workers: both, port } = await listen({ port: 0, host: '::', ipv6Only: true });
  const ask = (host) => new Promise((resolve, reject) => {
    http.get({ port, host, agent: false }, (response) => response.setEncoding('utf8').once('data', resolve)).on('error', reject);
  });
  assert.ok(ids(both).includes(await ask('::1')));
  await assert.rejects(ask('127.0.0.1'), { code: 'ECONNREFUSED' });
});

test('a path is served on while its workers are replaced', async () => {
  const socket = path.join(temporary(), 'socket');
  await listen({ path: socket });
  let going = true;
  const answers = [];
  const client = (async () => {
    while (going) answers.push(await get(socket));
  })();
  const fresh = await cluster.reload();
  const now = answers.length;
  await until(() => answers.length > now + 5, 'more answers');
  going = false;
  await client;
  assert.ok(ids(fresh).includes(answers.at(-1)));
});

test('a long response is finished by the worker that began it, reloaded meanwhile', async () => {
  const { workers: [old], port } = await listen({ port: 0, host: '127.0.0.1' }, 1);
  const answer = get(port, '/slow/1000');
  await until(async () => old.process.connected && await begun(old), 'it to be begun');
  const [fresh] = await cluster.reload();
  assert.strictEqual(await answer, `begun ${old.id}`);
  assert.strictEqual(await get(port), `${fresh.id}`);
  assert.strictEqual(old.process.exitCode, 0);
});

// Whether a worker has taken a connection.
const { kOf } = require('../../lib/cluster/worker.js');
const begun = (worker) => worker[kOf].native.counts(worker.id).adopted > 0;

async function upgraded(port) {
  const socket = net.connect(port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n'));
  socket.setEncoding('utf8').on('error', () => {});
  await happened(socket, 'data');
  return socket;
}

test('an upgraded connection keeps its worker until the time of the reload is over, and then ends', async () => {
  const { workers: [old], port } = await listen({ port: 0, host: '127.0.0.1' }, 1);
  const socket = await upgraded(port);
  const closed = happened(socket, 'close');
  const reloaded = cluster.reload({ drain: 50, timeout: 3_000 });
  const [fresh] = await happened(cluster, 'listening');
  socket.write('who');
  assert.strictEqual((await happened(socket, 'data'))[0], `${old.id}`);
  assert.strictEqual(await get(port), `${fresh.id}`);
  await reloaded;
  await closed;
  assert.strictEqual(old.process.signalCode, 'SIGKILL');
});

test('an upgraded connection that its client ends lets the reload end at once', async () => {
  const { workers: [old], port } = await listen({ port: 0, host: '127.0.0.1' }, 1);
  const socket = await upgraded(port);
  const reloaded = cluster.reload({ drain: 60_000, timeout: 60_000 });
  await happened(cluster, 'listening');
  socket.destroy();
  await reloaded;
  assert.strictEqual(old.process.exitCode, 0);
});

test('a client waits for its own worker while that is busy for a moment, and others are served meanwhile', async () => {
  const { workers: both, port } = await workers('say-id', 2, { sticky: { by: 'cookie', name: 'sid', timeout: 60_000 } });
  const ask = (sid, where = '/') => new Promise((resolve, reject) => {
    http.get({ port, host: '127.0.0.1', path: where, headers: { cookie: `sid=${sid}` }, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece) => { text += piece; }).on('end', () => resolve(text));
    }).on('error', reject);
  });
  const homes = new Map();
  for (let i = 0; homes.size < 2; i++) homes.set(await ask(`client-${i}`), `client-${i}`);
  const [[busy, his], [other, others]] = homes;
  assert.strictEqual(await ask(his, '/block/150'), busy); // answers, and is busy then
  const [late, ...meanwhile] = await Promise.all([ask(his), ...Array.from({ length: 10 }, () => ask(others))]);
  assert.deepStrictEqual(new Set(meanwhile), new Set([other]));
  assert.ok(ids(both).includes(late)); // his own, unless the machine made it look stalled
  await until(async () => await ask(his) === busy, 'his own again');
});
