'use strict';
// What a connection begins with is told, and all of it is still there.

const assert = require('node:assert');
const { execFileSync, spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const path = require('node:path');
const { test } = require('node:test');
const tls = require('node:tls');
const { Worker } = require('node:worker_threads');
const rsipc = require('../../index.js');
const { leavesNothing, temporary } = require('../helpers/leavings.js');
const hasPeeked = require('../helpers/peeking.js');
const { listening, closed, readAll, connection, HOST } = require('../helpers/handles.js');
const { happened, text } = require('../helpers/wait.js');

leavesNothing(hasPeeked);

const HEAD = 'GET /a?b=c HTTP/1.1\r\nHost: a.example\r\nX-Two: 1\r\nx-two: 2\r\nCookie: a=1\r\nCookie: b=2\r\n__proto__: x\r\n\r\n';

async function pair(where = [0, HOST]) {
  const server = await listening(net.createServer({ pauseOnConnect: true }), ...where);
  const address = server.address();
  const far = typeof address === 'string' ? net.connect(address) : net.connect(address.port, HOST);
  const near = await connection(server, far);
  return { far, near, async end() {
    far.destroy();
    near.destroy();
    await closed(server);
  } };
}

for (const [name, where] of [['tcp', () => [0, HOST]], ['unix', () => [path.join(temporary(), 's')]]]) {
  test(`the head of a request is told and nothing of it is taken (${name})`, async () => {
    const { far, near, end } = await pair(where());
    far.end(`${HEAD}body`);
    const found = await rsipc.peek(near);
    assert.deepStrictEqual({ ...found, headers: { ...found.headers } }, {
      kind: 'http', method: 'GET', path: '/a?b=c', httpVersion: '1.1', proxy: undefined,
      headers: { host: 'a.example', 'x-two': '1, 2', cookie: 'a=1; b=2', ['__proto__']: 'x' },
    });
    assert.strictEqual(Object.getPrototypeOf(found.headers), null);
    assert.strictEqual({}.x, undefined);
    // And again, as often as one likes.
    assert.strictEqual((await rsipc.peek(near)).method, 'GET');
    const all = readAll(near);
    near.resume();
    assert.strictEqual(await all, `${HEAD}body`);
    await end();
  });
}

test('it waits for what comes a byte at a time', async () => {
  const { far, near, end } = await pair();
  far.setNoDelay();
  const peeked = rsipc.peek(near);
  for (const byte of HEAD) {
    far.write(byte);
    await new Promise(setImmediate);
  }
  assert.strictEqual((await peeked).path, '/a?b=c');
  await end();
});

test('the PROXY protocol is told, alone and in front of a request', async () => {
  const line = 'PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n';
  const expected = {
    version: 1,
    source: { address: '192.0.2.1', family: 'IPv4', port: 56324 },
    destination: { address: '198.51.100.7', family: 'IPv4', port: 443 },
  };
  const { far, near, end } = await pair();
  far.write(line);
  assert.deepStrictEqual(await rsipc.peek(near, { for: 'proxy' }), { kind: 'proxy', proxy: expected });
  far.write(HEAD);
  const found = await rsipc.peek(near, { proxy: true });
  assert.deepStrictEqual(found.proxy, expected);
  assert.strictEqual(found.headers.host, 'a.example');
  await assert.rejects(rsipc.peek(near), { code: 'ERR_RSIPC_UNEXPECTED_BYTES' });
  await end();
});

test('every other end has its code, and leaves the socket as it was', async () => {
  const { far, near, end } = await pair();
  await assert.rejects(rsipc.peek(near, { timeout: 10 }), { code: 'ERR_RSIPC_TIMEOUT' });
  const controller = new AbortController();
  const waiting = rsipc.peek(near, { signal: controller.signal });
  controller.abort();
  await assert.rejects(waiting, { name: 'AbortError', code: 'ABORT_ERR' });
  await assert.rejects(rsipc.peek(near, { signal: controller.signal }), { code: 'ABORT_ERR' });
  far.write('GET / HTTP/1.1\r\nA: b');
  await assert.rejects(rsipc.peek(near, { limit: 20 }), { code: 'ERR_RSIPC_MESSAGE_TOO_LARGE' });
  await assert.rejects(rsipc.peek(near, { for: 'tls' }), { code: 'ERR_RSIPC_UNEXPECTED_BYTES' });
  const ended = rsipc.peek(near);
  far.end();
  await assert.rejects(ended, { code: 'ERR_RSIPC_TRUNCATED', message: /20 bytes/ });
  assert.strictEqual(near.destroyed, false);
  const all = readAll(near);
  near.resume();
  assert.strictEqual(await all, 'GET / HTTP/1.1\r\nA: b');
  await end();
});

test('a socket that is closed meanwhile ends the wait', async () => {
  const { near, end } = await pair();
  const waiting = rsipc.peek(near);
  near.destroy();
  await assert.rejects(waiting, { code: 'ERR_RSIPC_CLOSED' });
  await assert.rejects(rsipc.peek(near), { code: 'ERR_RSIPC_CLOSED' });
  await end();
});

test('a socket that is read, and what is no socket, is refused', async () => {
  const server = await listening(net.createServer(), 0, HOST);
  const far = net.connect(server.address().port, HOST);
  const near = await connection(server, far);
  await assert.rejects(rsipc.peek(near), { code: 'ERR_RSIPC_ALREADY_READ', message: /pauseOnConnect/ });
  far.destroy();
  near.destroy();
  await closed(server);
  for (const wrong of [undefined, null, {}, 5]) await assert.rejects(rsipc.peek(wrong), { code: 'ERR_INVALID_ARG_TYPE' });
  for (const options of [{ for: 'ftp' }, { limit: 0 }, { limit: 2 ** 21 }, { timeout: -1 }, { proxy: 1 }, { signal: 1 }, 5]) {
    await assert.rejects(rsipc.peek(near, options), { code: /^ERR_(INVALID_ARG|OUT_OF)/ });
  }
});

test('without a descriptor to look with it says so, and works again when there is one', async () => {
  const code = `
    const fs = require('node:fs');
    const net = require('node:net');
    const rsipc = require(${JSON.stringify(require.resolve('../../index.js'))});
    const server = net.createServer({ pauseOnConnect: true }, async (socket) => {
      await rsipc.peek(socket, { for: 'proxy' }).catch(() => {});
      const taken = [];
      for (;;) try { taken.push(fs.openSync('/dev/null')); } catch { break; }
      const error = await rsipc.peek(socket).catch((caught) => caught);
      for (const fd of taken) fs.closeSync(fd);
      console.log(error.code, (await rsipc.peek(socket)).path);
      socket.end();
      server.close();
    }).listen(0, '${HOST}', () => net.connect(server.address().port, '${HOST}').end(${JSON.stringify(HEAD)}).resume());`;
  const child = spawn('sh', ['-c', 'ulimit -n 100; exec "$0" -e "$1"', process.execPath, code], { stdio: ['ignore', 'pipe', 'inherit'] });
  assert.strictEqual(await text(child.stdout), 'ERR_RSIPC_SYSTEM /a?b=c\n');
});

test('an http server is given the connection after all', async () => {
  const server = http.createServer((request, response) => response.end(request.headers['x-name']));
  const front = await listening(net.createServer({ pauseOnConnect: true }, async (socket) => {
    const { headers } = await rsipc.peek(socket);
    assert.strictEqual(headers['x-name'], 'here');
    server.emit('connection', socket);
    socket.resume();
  }), 0, HOST);
  const request = http.get({ port: front.address().port, host: HOST, agent: false, headers: { 'x-name': 'here' } });
  const [response] = await happened(request, 'response');
  assert.strictEqual(await text(response), 'here');
  await closed(front);
});

test('a worker thread looks into sockets of its own', async () => {
  const code = `
    const net = require('node:net');
    const rsipc = require(${JSON.stringify(require.resolve('../../index.js'))});
    const server = net.createServer({ pauseOnConnect: true }, async (socket) => {
      const { method } = await rsipc.peek(socket);
      socket.end(method);
      server.close();
      // One is waited for when the thread ends.
    }).listen(0, '${HOST}', () => require('node:worker_threads').parentPort.postMessage(server.address().port));`;
  const worker = new Worker(code, { eval: true });
  const [port] = await happened(worker, 'message');
  const far = net.connect(port, HOST);
  far.write(HEAD);
  assert.strictEqual(await readAll(far), 'GET');
  await happened(worker, 'exit');
});

test('a thread may end while it looks', async () => {
  const code = `
    const net = require('node:net');
    const rsipc = require(${JSON.stringify(require.resolve('../../index.js'))});
    const server = net.createServer({ pauseOnConnect: true }, (socket) => {
      rsipc.peek(socket);
      require('node:worker_threads').parentPort.postMessage('looks');
    }).listen(0, '${HOST}', () => require('node:worker_threads').parentPort.postMessage(server.address().port));`;
  const worker = new Worker(code, { eval: true });
  const [port] = await happened(worker, 'message');
  const far = net.connect(port, HOST);
  far.on('error', () => {});
  await happened(worker, 'message');
  await worker.terminate();
  await (far.closed || once(far, 'close'));
});

test('200 uploads of 1 MiB go to children by a header and arrive whole', async () => {
  const { run } = await import('./uploads.mjs');
  assert.deepStrictEqual(await run(200, 8), []);
});

test('TLS clients are given to the child of the host they ask for', async () => {
  const directory = temporary();
  const made = ['a.example', 'b.example'].map((host) => {
    const [key, cert] = ['key', 'cert'].map((what) => path.join(directory, `${host}.${what}`));
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
      '-keyout', key, '-out', cert, '-subj', `/CN=${host}`, '-addext', `subjectAltName=DNS:${host}`], { stdio: 'ignore' });
    return { host, key: fs.readFileSync(key, 'utf8'), cert: fs.readFileSync(cert, 'utf8') };
  });
  const program = require.resolve('../fixtures/endpoint/takes-tls.js');
  const children = new Map(made.map(({ host, key, cert }) => [host, rsipc.fork(program, [`child of ${host}`, key, cert], { execArgv: [] })]));
  const seen = [];
  const front = await listening(net.createServer({ pauseOnConnect: true }, async (socket) => {
    const { sni, alpn } = await rsipc.peek(socket, { for: 'tls' });
    seen.push([sni, ...alpn]);
    const child = children.get(sni);
    if (child === undefined) socket.destroy();
    else child.send('connection', socket);
  }), 0, HOST);
  const { port } = front.address();
  for (const { host, cert } of [...made, ...made]) {
    const client = tls.connect({ port, host: HOST, servername: host, ca: cert, ALPNProtocols: ['h2', 'http/1.1'] });
    assert.strictEqual(await readAll(client), `child of ${host} ${host} http/1.1`);
    assert.deepStrictEqual(seen.pop(), [host, 'h2', 'http/1.1']);
  }
  // By a client that is not Node's. Names are the same in capitals.
  const other = spawn('openssl', ['s_client', '-quiet', '-connect', `${HOST}:${port}`, '-servername', 'B.Example'], { stdio: ['pipe', 'pipe', 'ignore'] });
  assert.match(await text(other.stdout), /^child of b\.example /);
  assert.deepStrictEqual(seen.pop(), ['b.example']);
  const unknown = tls.connect({ port, host: HOST, servername: 'c.example', rejectUnauthorized: false });
  await assert.rejects(readAll(unknown), { code: 'ECONNRESET' });
  await closed(front);
  for (const child of children.values()) {
    child.disconnect();
    await happened(child, 'exit');
  }
});
