// The long run: node reloads.mjs [RELOADS] [REQUESTS] reloads a run again and again under keep-alive requests, until that
// many of both were made. One of the reloads brings a program that never gets ready. No request may fail.
import assert from 'node:assert';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const [reloads = 50, requests = 100_000] = process.argv.slice(2).map(Number);
const CLI = fileURLToPath(new URL('../../bin/rsipc.js', import.meta.url));
const place = fs.mkdtempSync(path.join(os.tmpdir(), 'rsipc-reloads-'));
const env = { ...process.env, RSIPC_RUN_DIR: path.join(place, 'run') };
const script = path.join(place, 'server.js');
const CONNECTIONS = 8;
const RIGHT = `require('node:http').createServer((request, response) => response.end('right')).listen(${JSON.stringify(path.join(place, 'socket'))});`;
const WRONG = 'setInterval(() => {}, 1000);';

function rsipc(...args) {
  const child = spawn(process.execPath, [CLI, ...args], { env, stdio: ['ignore', 'inherit', 'pipe'] });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
  return { child, ended: once(child, 'close').then(([code]) => ({ code, stderr })), said: (text) => stderr.includes(text) };
}

const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS });
let done = 0;
const failed = new Map();

function request() {
  return new Promise((resolve) => {
    const fail = (error) => {
      failed.set(error.message, (failed.get(error.message) ?? 0) + 1);
      resolve();
    };
    http.get({ socketPath: path.join(place, 'socket'), agent }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece) => (text += piece)).on('error', fail).on('end', () => {
        if (text !== 'right') fail(new Error(`answered ${JSON.stringify(text)}`));
        else done++;
        resolve();
      });
    }).on('error', fail);
  });
}

fs.writeFileSync(script, RIGHT);
const run = rsipc('run', script, '-i', '2', '-n', 'long', '--reload-timeout', '3s');
try {
  while (!run.said('worker 2') || !run.said('worker 1')) await new Promise((resolve) => setTimeout(resolve, 20));
  let going = true;
  const clients = Array.from({ length: CONNECTIONS }, async () => {
    while (going) await request();
  });
  let count = 0;
  let refused = 0;
  for (; count < reloads || done < requests; count++) {
    const bad = count === Math.floor(reloads / 2);
    fs.writeFileSync(script, bad ? WRONG : RIGHT);
    const { code } = await rsipc('reload', 'long').ended;
    assert.strictEqual(code, bad ? 1 : 0);
    if (bad) refused++;
  }
  going = false;
  await Promise.all(clients);
  agent.destroy();
  console.log(`${done} requests, ${[...failed.values()].reduce((sum, times) => sum + times, 0)} failed; ${count} reloads, ${refused} of them refused`);
  for (const [message, times] of failed) console.log(`  ${times} × ${message}`);
  assert.strictEqual(failed.size, 0);
} finally {
  run.child.kill('SIGTERM');
  await run.ended;
  fs.rmSync(place, { recursive: true, force: true });
}
