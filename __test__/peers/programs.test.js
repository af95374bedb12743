'use strict';
// Real programs at the other end: curl, socat, logger, systemd's.

const assert = require('node:assert/strict');
const { execFile, spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { test } = require('node:test');
const { promisify } = require('node:util');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { directory } = require('../endpoint/places.js');
const { needed } = require('./needed.js');
const { serve, connect, httpOver, notify } = require('../../index.js');

leavesNothing();

const run = promisify(execFile);
const fixture = (name) => path.join(__dirname, '../fixtures', name);

// A program that is ended with the test, and what it prints.
function start(t, command, args, options = {}) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], ...options });
  const ended = once(child, 'exit');
  t.after(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  child.printed = '';
  child.stdout?.setEncoding('utf8').on('data', (text) => {
    child.printed += text;
  });
  child.line = (count) => until(() => child.printed.split('\n').length > count, `line ${count} of ${command}`).then(() => child.printed.split('\n')[count - 1]);
  return child;
}

async function server(t, endpoint, options = { codec: 'lines' }) {
  const made = await serve(endpoint, options);
  t.after(() => made.close({ timeout: 500 }));
  return made;
}

// Answers each message with one.
const echo = (made) => made.on('connection', (client) => client.on('message', (message) => client.send({ message })));
const place = (t, scheme) => `${scheme}${path.join(directory(t), 's')}`;
const fileOf = (endpoint) => endpoint.slice(endpoint.indexOf(':') + 1);

// ---- curl ----

test('curl --unix-socket: gets and posts, several on one connection', needed('curl'), async (t) => {
  const endpoint = place(t, 'unix:');
  const over = httpOver(endpoint);
  let connections = 0;
  const http1 = http.createServer(async (request, response) => {
    let bytes = 0;
    for await (const piece of request) bytes += piece.length;
    response.end(`${request.method} ${request.url} ${bytes}\n`);
  });
  http1.on('connection', () => connections++);
  await over.listen(http1);
  t.after(() => new Promise((resolve) => http1.close(resolve)));
  const body = path.join(directory(t), 'body');
  fs.writeFileSync(body, Buffer.alloc(1 << 20, 'x'));
  const curl = (...args) => run('curl', ['--silent', '--show-error', '--fail', '--max-time', '30', '--unix-socket', fileOf(endpoint), ...args]);
  assert.equal((await curl('http://app/one', 'http://app/two')).stdout, 'GET /one 0\nGET /two 0\n');
  assert.equal(connections, 1);
  assert.equal((await curl('--data-binary', `@${body}`, 'http://app/up')).stdout, 'POST /up 1048576\n');
});

// ---- socat ----

for (const [scheme, address] of [
  ['unix:', (endpoint) => `UNIX-CONNECT:${fileOf(endpoint)}`],
  ['unix:@', (endpoint) => `ABSTRACT-CONNECT:${fileOf(endpoint).slice(1)}`],
  ['tcp:', (endpoint) => `TCP:${endpoint.slice('tcp://'.length)}`],
  ['unix+seqpacket:', (endpoint) => `UNIX-CONNECT:${fileOf(endpoint)},type=5`],
  ['unix+dgram:', (endpoint) => `UNIX-SENDTO:${fileOf(endpoint)},bind=${fileOf(endpoint)}.client`],
]) {
  test(`socat speaks lines to ${scheme}`, needed('socat'), async (t) => {
    const at = { 'tcp:': 'tcp://127.0.0.1:0', 'unix:@': `unix:@rsipc.test.socat.${process.pid}` }[scheme] ?? place(t, scheme);
    const made = await server(t, at);
    echo(made);
    const socat = start(t, 'socat', ['-', address(made.address())]);
    for (let number = 1; number <= 20; number++) {
      socat.stdin.write(`{"number":${number},"text":"ä"}\n`);
      assert.deepEqual(JSON.parse(await socat.line(number)), { message: { number, text: 'ä' } });
    }
    // Several lines at once: in a stream, and in one packet.
    socat.stdin.write('1\n\n2\r\n"three"\n');
    assert.deepEqual(await Promise.all([21, 22, 23].map(async (number) => JSON.parse(await socat.line(number)).message)), [1, 2, 'three']);
  });
}

for (const [scheme, address] of [
  ['unix:', (file) => `UNIX-LISTEN:${file}`],
  ['unix+seqpacket:', (file) => `UNIX-LISTEN:${file},type=5`],
]) {
  test(`a client speaks lines to a socat that listens at ${scheme}`, needed('socat'), async (t) => {
    const endpoint = place(t, scheme);
    start(t, 'socat', [`${address(fileOf(endpoint))},mode=600`, 'EXEC:cat']);
    const client = await connect(endpoint, { codec: 'lines', reconnect: { min: 5, max: 20 } });
    t.after(() => client.destroy());
    for (let number = 0; number < 20; number++) {
      client.send({ number });
      assert.deepEqual(await once(client, 'message'), [{ number }]);
    }
  });
}

test('what a client sends to unix+dgram: is what socat receives', needed('socat'), async (t) => {
  const endpoint = place(t, 'unix+dgram:');
  const socat = start(t, 'socat', ['-u', `UNIX-RECV:${fileOf(endpoint)},mode=600`, '-']);
  const client = await connect(endpoint, { codec: 'lines', reconnect: { min: 5, max: 20 } });
  t.after(() => client.destroy());
  for (let number = 0; number < 100; number++) await client.send(number);
  await socat.line(100);
  assert.equal(socat.printed, Array.from({ length: 100 }, (_, number) => `${number}\n`).join(''));
});

test('a tool on stdio is reached through socat EXEC', needed('socat'), async (t) => {
  const endpoint = place(t, 'unix:');
  start(t, 'socat', [`UNIX-LISTEN:${fileOf(endpoint)},mode=600`, `EXEC:${process.execPath} ${fixture('endpoint/tool.js')}`], { stdio: ['ignore', 'ignore', 'ignore'] });
  const client = await connect(endpoint, { codec: 'lines', jsonRpc: true, reconnect: { min: 5, max: 20 } });
  t.after(() => client.destroy());
  const sums = await Promise.all(Array.from({ length: 100 }, (_, number) => client.request('add', [number, 1])));
  assert.deepEqual(sums, Array.from({ length: 100 }, (_, number) => number + 1));
});

// ---- syslog ----

test('logger(1) logs to a server at unix+dgram:', needed('logger'), async (t) => {
  const endpoint = place(t, 'unix+dgram:');
  const made = await server(t, endpoint, { codec: 'raw' });
  const connection = happened(made, 'connection');
  await run('logger', ['--socket', fileOf(endpoint), '--tag', 'guide', '--priority', 'user.warning', 'it runs']);
  const [client] = await connection;
  assert.match(String((await happened(client, 'message'))[0]), /^<12>.* guide: it runs$/);
  assert.equal(client.peer.uid, process.getuid());
});

// ---- systemd ----

for (const name of ['systemd:', 'systemd:app']) {
  test(`systemd-socket-activate starts a server at ${name} for its first client`, needed('systemd-socket-activate'), async (t) => {
    const endpoint = place(t, 'unix:');
    const names = name === 'systemd:' ? [] : ['--fdname=app'];
    const activate = start(t, 'systemd-socket-activate', [`--listen=${fileOf(endpoint)}`, ...names, process.execPath, fixture('peers/activated.js'), name], { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    activate.stderr.setEncoding('utf8').on('data', (text) => {
      said += text;
    });
    const ended = once(activate, 'exit');
    const client = await connect(endpoint, { codec: 'lines', reconnect: { min: 5, max: 20 } });
    client.send('hello');
    assert.deepEqual(await once(client, 'message'), [{ message: 'hello', pid: activate.pid }]); // it has become the server
    await client.close();
    assert.deepEqual(await ended, [0, null], said);
  });
}

test('systemd-notify and rsipc.notify tell a service manager at unix+dgram:', needed('systemd-notify'), async (t) => {
  const endpoint = place(t, 'unix+dgram:');
  const manager = await server(t, endpoint, { codec: 'raw' });
  const told = [];
  manager.on('connection', (service) => service.on('message', (state) => told.push(String(state))));
  await run('systemd-notify', ['--ready', '--status=open'], { env: { ...process.env, NOTIFY_SOCKET: fileOf(endpoint) } });
  await until(() => told.length > 0, 'systemd-notify');
  assert.match(told[0], /^(?=.*READY=1)(?=.*STATUS=open)/s);
  assert.equal(notify('READY=1'), false); // nobody asks
  process.env.NOTIFY_SOCKET = fileOf(endpoint);
  t.after(() => delete process.env.NOTIFY_SOCKET);
  assert.equal(notify('WATCHDOG=1\nSTATUS=ä'), true);
  await until(() => told.at(-1).startsWith('WATCHDOG'), 'rsipc.notify');
  assert.equal(told.at(-1), 'WATCHDOG=1\nSTATUS=ä');
  process.env.NOTIFY_SOCKET = `${fileOf(endpoint)}.nobody`;
  assert.throws(() => notify('READY=1'), { code: 'ENOENT' });
  process.env.NOTIFY_SOCKET = 'vsock:2:1';
  assert.throws(() => notify('READY=1'), { code: 'ERR_RSIPC_UNSUPPORTED' });
  assert.throws(() => notify(1), { code: 'ERR_INVALID_ARG_TYPE' });
});
