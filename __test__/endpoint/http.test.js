'use strict';
// HTTP over an endpoint.

const assert = require('node:assert');
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { test } = require('node:test');
const { httpOver } = require('../../index.js');
const { leavesNothing, temporary } = require('../helpers/leavings.js');
const { happened, text } = require('../helpers/wait.js');

leavesNothing();

const folder = temporary();
let servers = 0;

// Runs `use(over, server)` with a server that answers with what it was asked for.
async function serving(endpoint, options, use) {
  const server = http.createServer(async (request, response) => response.end(`${request.method} ${request.url} ${await text(request)}`));
  const over = httpOver(endpoint, options);
  await over.listen(server);
  try {
    await use(over, server);
  } finally {
    await over.close();
    server.closeAllConnections();
    server.close();
    await happened(server, 'close');
  }
}

const file = () => path.join(folder, `s${++servers}`);

async function ask(options, body = '') {
  const request = http.request(options);
  request.end(body);
  return text(await new Promise((resolve, reject) => request.on('response', resolve).on('error', reject)));
}

test('http.request reaches a server at a UNIX socket and keeps its connection', () => serving(`unix:${file()}`, {}, async ({ agent }, server) => {
  let connections = 0;
  server.on('connection', () => connections++);
  for (let i = 0; i < 5; i++) assert.strictEqual(await ask({ agent, path: `/${i}`, method: 'POST' }, 'body'), `POST /${i} body`);
  assert.strictEqual(connections, 1);
}));

test('fetch reaches it', () => serving(`unix:${file()}`, {}, async ({ dispatcher }) => {
  const response = await fetch('http://any.host/path?q=1', { dispatcher, method: 'POST', body: 'x'.repeat(100_000) });
  assert.strictEqual(response.status, 200);
  assert.strictEqual(await response.text(), `POST /path?q=1 ${'x'.repeat(100_000)}`);
}));

test('a name of this user will do, and so will a port', async () => {
  await serving(`rsipc:http-${process.pid}`, {}, async ({ agent }) => assert.strictEqual(await ask({ agent, path: '/' }), 'GET / '));
  const probe = net.createServer().listen(0, '127.0.0.1');
  await happened(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await happened(probe, 'close');
  await serving(`tcp://127.0.0.1:${port}`, {}, async ({ agent }) => assert.strictEqual(await ask({ agent, path: '/' }), 'GET / '));
});

test('the socket has the mode asked for, belongs to one server at a time, and goes with it', async () => {
  const at = file();
  await serving(`unix:${at}`, { mode: 0o660 }, async () => {
    assert.strictEqual(fs.statSync(at).mode & 0o777, 0o660);
    await assert.rejects(httpOver(`unix:${at}`).listen(http.createServer()), { code: 'EADDRINUSE' });
  });
  assert.strictEqual(fs.existsSync(at), false);
  await serving(`unix:${at}`, {}, async () => assert.strictEqual(fs.statSync(at).mode & 0o777, 0o600));
});

test('a server that is not there, or is not of an allowed user, is an error of the request', async () => {
  const at = file();
  const nobody = httpOver(`unix:${at}`);
  await assert.rejects(ask({ agent: nobody.agent }), { code: 'ENOENT' });
  await assert.rejects(fetch('http://a/', { dispatcher: nobody.dispatcher }), (error) => error.cause.code === 'ENOENT');
  await nobody.close();
  await serving(`unix:${at}`, {}, async () => {
    const strict = httpOver(`unix:${at}`, { allow: { uid: process.getuid() + 1 } });
    await assert.rejects(ask({ agent: strict.agent }), { code: 'ERR_RSIPC_PEER_REFUSED' });
    await strict.close();
  });
});

test('an endpoint that HTTP cannot use is refused', async () => {
  for (const endpoint of ['udp://127.0.0.1:1', 'stdio:']) assert.throws(() => httpOver(endpoint), { code: 'ERR_RSIPC_UNSUPPORTED' });
  await assert.rejects(httpOver('unix:@name').listen(http.createServer()), { code: 'ERR_RSIPC_UNSUPPORTED' });
  assert.throws(() => httpOver(1), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => httpOver('nonsense'), { code: 'ERR_RSIPC_INVALID_ENDPOINT' });
});

test('the name goes when the server closes, and not when its last connection has ended', async () => {
  const at = file();
  const server = http.createServer();
  await httpOver(`unix:${at}`).listen(server);
  const accepted = happened(server, 'connection');
  const socket = net.connect(at);
  await accepted;
  const closed = happened(server, 'close');
  server.close();
  assert.strictEqual(fs.existsSync(at), false); // who connects now does not wait for nobody
  const next = http.createServer();
  await httpOver(`unix:${at}`).listen(next);
  socket.destroy();
  await closed;
  assert.strictEqual(fs.existsSync(at), true);
  next.close();
  await happened(next, 'close');
});

test('a server that listens already is refused, and leaves no name', async () => {
  const at = file();
  await serving(`unix:${file()}`, {}, async (over, server) => {
    await assert.rejects(httpOver(`unix:${at}`).listen(server), { code: 'ERR_SERVER_ALREADY_LISTEN' });
    assert.strictEqual(fs.existsSync(at), false);
    assert.strictEqual(server.listenerCount('error'), 0);
  });
});

test('a worker of a cluster listens by itself', { timeout: 60_000 }, async () => {
  const at = file();
  const script = path.join(folder, 'worker.js');
  fs.writeFileSync(script, `
    const cluster = require('node:cluster');
    const { httpOver } = require(${JSON.stringify(path.join(__dirname, '../../index.js'))});
    if (cluster.isPrimary) {
      cluster.fork().on('message', async () => {
        const { agent } = httpOver('unix:${at}');
        require('node:http').get({ agent }, (response) => response.pipe(process.stdout).on('close', () => {})).on('close', () => {
          agent.destroy();
          cluster.disconnect();
        });
      });
    } else {
      const server = require('node:http').createServer((request, response) => response.end('worker ' + cluster.worker.id));
      httpOver('unix:${at}').listen(server).then(() => process.send('listening'));
      process.on('disconnect', () => server.close());
    }
  `);
  const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = happened(child, 'exit');
  assert.strictEqual(await text(child.stdout), 'worker 1');
  assert.deepStrictEqual(await ended, [0, null]);
  assert.strictEqual(fs.existsSync(at), false);
});
