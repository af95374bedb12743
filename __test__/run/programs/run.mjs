// Drives the programs of this folder: node run.mjs FOLDER [PROGRAM …], where they are installed.
//
// Each is run twice, by `rsipc run` and, with rsipc/register, as a program that uses node:cluster. Both times two
// processes must answer, every answer must be right, and the end must be clean; `rsipc run` also reloads meanwhile.
import assert from 'node:assert';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { spawn, spawnSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const [folder, ...wanted] = process.argv.slice(2);
const runs = fs.mkdtempSync(path.join(os.tmpdir(), 'rsipc-programs-'));
const env = { ...process.env, RSIPC_RUN_DIR: runs };
const HOST = '127.0.0.1';

// A port that was free a moment ago.
async function freePort() {
  const server = net.createServer().listen(0, HOST);
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

async function until(condition, what) {
  for (const end = Date.now() + 20_000; !await condition(); await delay(10)) {
    if (Date.now() > end) throw new Error(`not within 20 s: ${what}`);
  }
}

function request(port, where, { agent, body } = {}) {
  return new Promise((resolve, reject) => {
    const asked = http.request({ host: HOST, port, path: where, agent, method: body === undefined ? 'GET' : 'POST' }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (piece) => (text += piece));
      answer.on('end', () => resolve({ status: answer.statusCode, text, json: () => JSON.parse(text) }));
      answer.on('error', reject);
    });
    asked.on('error', reject);
    if (body !== undefined) asked.setHeader('content-type', 'application/json');
    asked.end(body);
  });
}

const newEachTime = () => new http.Agent({ keepAlive: false });

// What the processes answer, each time on a connection of its own.
async function answers(port, times = 20) {
  const all = await Promise.all(Array.from({ length: times }, () => request(port, '/', { agent: newEachTime() })));
  return all.map((answer) => answer.json());
}

const answering = async (port) => new Set((await answers(port)).map(({ pid }) => pid));

// What every HTTP server of these does.
async function checkHttp(port) {
  const body = JSON.stringify({ text: 'ü€😀', list: Array.from({ length: 2_000 }, (_, index) => index) });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
  const all = await Promise.all(Array.from({ length: 200 }, (_, index) => request(port, `/?n=${index}`, { agent: index % 2 === 0 ? agent : newEachTime() })));
  all.forEach((answer, index) => {
    assert.strictEqual(answer.status, 200);
    assert.strictEqual(answer.json().url, `/?n=${index}`);
  });
  const echo = await request(port, '/echo', { body });
  assert.deepStrictEqual([echo.status, echo.text], [201, body]);
  assert.strictEqual((await request(port, '/large')).text.length, 1024 * 1024);
  assert.strictEqual((await request(port, '/nothing')).status, 404);
  agent.destroy();
}

// Echoes over WebSocket, which stays with one process by itself.
async function checkSockets(port, { io }) {
  const sockets = Array.from({ length: 8 }, () => io(`http://${HOST}:${port}`, { transports: ['websocket'], forceNew: true, reconnection: false }));
  await Promise.all(sockets.map((socket) => new Promise((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('connect_error', reject);
  })));
  const seen = new Set();
  for (const socket of sockets) {
    const pids = new Set();
    for (let number = 0; number < 20; number++) {
      const { pid, value } = await socket.timeout(10_000).emitWithAck('echo', { number, bytes: Buffer.from([number]) });
      assert.deepStrictEqual([value.number, ...value.bytes], [number, number]);
      pids.add(pid);
    }
    assert.strictEqual(pids.size, 1);
    seen.add([...pids][0]);
  }
  assert.strictEqual(seen.size, 2);
  for (const socket of sockets) socket.disconnect();
}

// Polling is a request after the other, each of which must come to the process that has begun the session.
async function checkPolling(port, place) {
  const { io } = createRequire(path.join(place, 'server.js'))('socket.io-client');
  await Promise.all(Array.from({ length: 8 }, async (_, index) => {
    const socket = io(`http://${HOST}:${port}`, { transports: ['polling'], extraHeaders: { cookie: `sid=client-${index}` }, forceNew: true, reconnection: false });
    for (let number = 0; number < 10; number++) {
      assert.strictEqual((await socket.timeout(10_000).emitWithAck('echo', number)).value, number);
    }
    socket.disconnect();
  }));
  // The word that a session is over is a request as well. A server that does not hear it waits for the client at its end.
  await until(async () => {
    const all = await answers(port);
    return new Set(all.map(({ pid }) => pid)).size === 2 && all.every(({ sessions }) => sessions === 0);
  }, 'all sessions of both are over');
}

const PROGRAMS = {
  express: checkHttp,
  fastify: checkHttp,
  socketio: (port, place) => checkSockets(port, createRequire(path.join(place, 'server.js'))('socket.io-client')),
};

const rsipc = (...args) => spawnSync(process.execPath, [path.join(root, 'bin/rsipc.js'), ...args], { env, encoding: 'utf8' });

// Starts it, calls `use(port)` when two processes answer, and answers how it ended.
async function during(args, place, end, use) {
  const port = await freePort();
  const child = spawn(process.execPath, args, { cwd: place, env: { ...env, PORT: port }, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text));
  const exited = once(child, 'exit');
  try {
    await Promise.race([
      until(() => answering(port).then((pids) => pids.size === 2, () => false), 'two processes that answer'),
      exited.then(() => assert.fail('it ended')),
    ]);
    await use(port);
    end(child);
    assert.deepStrictEqual(await Promise.race([exited, delay(20_000, 'it does not end', { ref: false })]), [0, null]);
  } catch (error) {
    error.message += `\n${said}`;
    throw error;
  } finally {
    child.kill('SIGKILL');
  }
}

// One request after the other on each of some connections, until told to stop.
function load(port) {
  const counts = { done: 0, failed: [] };
  let going = true;
  const agent = new http.Agent({ keepAlive: true, maxSockets: 2 });
  const clients = Array.from({ length: 4 }, async (_, index) => {
    while (going) {
      try {
        const answer = await request(port, '/', { agent: index % 2 === 0 ? agent : newEachTime() });
        assert.strictEqual(answer.status, 200);
        counts.done++;
      } catch (error) {
        counts.failed.push(error.message);
      }
    }
  });
  return async () => {
    going = false;
    await Promise.all(clients);
    agent.destroy();
    return counts;
  };
}

const begin = Date.now();
try {
  for (const [name, check] of Object.entries(PROGRAMS)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    const place = path.resolve(folder, name);
    await during([path.join(root, 'bin/rsipc.js'), 'run', 'server.js', '-i', '2', '--name', name], place, () => {
      const { status, stderr } = rsipc('stop', name);
      assert.strictEqual(status, 0, stderr);
    }, async (port) => {
      await check(port, place);
      const before = await answering(port);
      const stop = load(port);
      const status = rsipcLater('reload', name);
      assert.strictEqual(await status, 0);
      const { done, failed } = await stop();
      assert.deepStrictEqual([...await answering(port)].filter((pid) => before.has(pid)), []);
      assert.deepStrictEqual([...new Set(failed)], [], `${failed.length} of ${done + failed.length} requests failed`);
      console.log(`${name}: rsipc run: right; ${done} requests and none failed while it was reloaded`);
    });
    if (name === 'socketio') {
      const args = [path.join(root, 'bin/rsipc.js'), 'run', 'server.js', '-i', '2', '--sticky', 'cookie:sid'];
      await during(args, place, (child) => child.kill('SIGTERM'), (port) => checkPolling(port, place));
      console.log(`${name}: rsipc run --sticky: right`);
    }
    await during(['-r', path.join(root, 'register.js'), 'cluster.js'], place, (child) => child.kill('SIGTERM'), (port) => check(port, place));
    console.log(`${name}: node:cluster with rsipc/register: right`);
  }
} finally {
  fs.rmSync(runs, { recursive: true, force: true });
}
console.log(`${((Date.now() - begin) / 1000).toFixed(1)} s`);

// As `rsipc`, without holding up the load.
function rsipcLater(...args) {
  const child = spawn(process.execPath, [path.join(root, 'bin/rsipc.js'), ...args], { env, stdio: 'inherit' });
  return once(child, 'exit').then(([code]) => code);
}
