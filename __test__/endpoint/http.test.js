'use strict';
// HTTP over an endpoint.

const assert = require('node:assert');
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const path = require('node:path');
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
