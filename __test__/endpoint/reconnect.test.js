'use strict';
// A client whose server goes and comes back.

const { test } = require('node:test');
const assert = require('node:assert');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { leavesNothing, ownRunDirectory } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { PLACES, pair } = require('./places.js');
const { serve, connect } = require('../../index.js');

leavesNothing();
ownRunDirectory();

const CYCLES = Number(process.env.CYCLES ?? 10);

async function started(endpoint) {
  const child = spawn(process.execPath, [path.join(__dirname, '../fixtures/endpoint/server.js'), endpoint], { stdio: ['ignore', 'pipe', 'inherit'] });
  await happened(child.stdout, 'data');
  return child;
}

for (const place of ['unix:', 'rsipc:']) {
  test(`${place} a server killed and started again is found again, with what was sent meanwhile`, { timeout: 120_000 }, async (t) => {
    const endpoint = PLACES[place](t);
    let child = await started(endpoint);
    t.after(() => child.kill('SIGKILL'));
    const client = await connect(endpoint, { reconnect: { min: 1, max: 20 } });
    t.after(() => client.destroy());
    for (let cycle = 0; cycle < CYCLES; cycle++) {
      assert.strictEqual(await client.request('pid'), child.pid);
      const gone = happened(client, 'disconnect');
      child.kill('SIGKILL');
      assert.strictEqual((await gone)[0].code, 'ERR_RSIPC_PEER_GONE');
      assert.strictEqual(client.connecting, true);
      const echoed = happened(client, 'message');
      const back = happened(client, 'reconnect');
      client.send({ cycle });
      const asked = client.request('pid');
      child = await started(endpoint);
      await back;
      assert.deepStrictEqual(await echoed, [{ cycle }]);
      assert.strictEqual(await asked, child.pid);
    }
  });
}

// The long run is a program: node __test__/endpoint/restarts.mjs 1000.
for (const place of ['unix:', 'rsipc:']) {
  test(`${place} of a server killed under load no request is lost, and none acted on twice unasked`, { timeout: 120_000 }, async () => {
    const { run } = await import('./restarts.mjs');
    const counted = await run(CYCLES, place);
    assert.ok(counted.answers > 0 && counted.arrived > 0 && counted.disconnects > 0, JSON.stringify(counted));
  });
}

test('a request without an answer is sent again, and the handler is told', async (t) => {
  const endpoint = PLACES['unix:'](t);
  let child = await started(endpoint);
  t.after(() => child.kill('SIGKILL'));
  const client = await connect(endpoint, { reconnect: { min: 1, max: 20 } });
  t.after(() => client.destroy());
  const asked = client.request('hang');
  await client.request('pid');
  child.kill('SIGKILL');
  await happened(client, 'disconnect');
  child = await started(endpoint);
  assert.strictEqual(await asked, 'again');
});

test('connect waits for a server that is not there yet', async (t) => {
  const endpoint = PLACES['unix:'](t);
  const connecting = connect(endpoint, { reconnect: { min: 1, max: 10 } });
  await new Promise((resolve) => setTimeout(resolve, 50));
  const server = await serve(endpoint);
  t.after(() => server.close());
  const client = await connecting;
  assert.strictEqual(client.connected, true);
  await client.close();
});

test('without reconnect the end of the server is the end, with the reason', async (t) => {
  await assert.rejects(connect(PLACES['unix:'](t)), { code: 'ENOENT', message: /^unix:/ });
  await assert.rejects(connect('tcp://127.0.0.1:1'), { code: 'ECONNREFUSED' });
  const { client, accepted } = await pair(t);
  const closed = happened(client, 'close');
  accepted.destroy();
  assert.strictEqual((await closed)[0].code, 'ERR_RSIPC_PEER_GONE');
  assert.strictEqual(client.error.code, 'ERR_RSIPC_PEER_GONE');
});

test('so many attempts, then the reason', async (t) => {
  const attempts = [];
  const { client, server } = await pair(t, { client: { reconnect: { min: 1, max: 2, retries: 3 } } });
  client.on('reconnecting', (error, attempt) => attempts.push([error.code, attempt]));
  const closed = happened(client, 'close');
  const asked = client.request('none').catch(() => {});
  await server.close();
  assert.strictEqual((await closed)[0].code, 'ENOENT');
  await asked;
  assert.deepStrictEqual(attempts, [['ERR_RSIPC_PEER_GONE', 1], ['ENOENT', 2], ['ENOENT', 3]]);
});

test('an attempt ends at its timeout, and when it is aborted', async (t) => {
  const endpoint = PLACES['unix:'](t);
  await assert.rejects(connect(endpoint, { reconnect: { min: 1 }, timeout: 50 }), { code: 'ERR_RSIPC_TIMEOUT' });
  const controller = new AbortController();
  const connecting = connect(endpoint, { reconnect: { min: 1 }, signal: controller.signal });
  setTimeout(() => controller.abort(), 20);
  await assert.rejects(connecting, { name: 'AbortError' });
  await assert.rejects(connect(endpoint, { signal: AbortSignal.abort() }), { name: 'AbortError' });
});

test('a heartbeat notices a server that is stopped', async (t) => {
  const endpoint = PLACES['unix:'](t);
  const child = await started(endpoint);
  t.after(() => child.kill('SIGKILL'));
  const client = await connect(endpoint, { heartbeat: 250 });
  t.after(() => client.destroy());
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  assert.strictEqual(client.connected, true); // it answers
  const closed = happened(client, 'close');
  child.kill('SIGSTOP');
  assert.strictEqual((await closed)[0].code, 'ERR_RSIPC_TIMEOUT');
  child.kill('SIGCONT');
});

test('close() while it connects again ends that', async (t) => {
  const { client, server } = await pair(t, { client: { reconnect: { min: 10 } } });
  const gone = happened(client, 'disconnect');
  await server.close();
  await gone;
  const closed = happened(client, 'close');
  await client.close();
  await closed;
  await until(() => client.closed, 'closed');
});
