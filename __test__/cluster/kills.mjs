// Workers killed at random under load: `node __test__/cluster/kills.mjs [KILLS] [REQUESTS] [SEED] [HOW]`, where HOW is the
// value of `scheduling`, or 'threads', or 'sticky'.
//
// Each request has a connection of its own, and a number that the worker notes in a file before it does anything else
// for it. A request that a killed worker had noted may stay without an answer: only the program knows what of it is done.
// One whose bytes no worker had fetched is lost, and none may be: the kernel resets such a connection, while one whose
// bytes were fetched comes to an orderly end. Between fetching and noting is a moment in which a kill finds a few.
//
// Workers that accept for themselves take along what they have accepted: they note that as well, by the client's port. Here
// a kill finds at most one connection between the two.
import assert from 'node:assert';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { createRequire } from 'node:module';
import { once } from 'node:events';

const require = createRequire(import.meta.url);
const { cluster } = require('../../index.js');
const { random } = require('../kill/traffic.js');

const [kills = 100, requests = 100_000, seed = Date.now() % 2 ** 31] = process.argv.slice(2, 5).map(Number);
const how = process.argv[5] ?? 'round-robin';
const OWN = how === 'reuseport' || how === 'shared'; // workers accept for themselves
const WORKERS = 4;
const CLIENTS = 32;
const WATCHDOG = 30_000; // that long without an answer is none
const RESET = 100;
const place = fs.mkdtempSync(path.join(os.tmpdir(), 'rsipc-kills-'));
const notes = path.join(place, 'notes');
const next = random(seed);

const settings = {
  'threads': { threads: true },
  'sticky': { sticky: { by: 'header', name: 'x-client' } },
}[how] ?? { scheduling: how };

const CONNECTION_CLOSE = 'HTTP/1.1\r\nHost: a\r\nConnection: close\r\n';
const MANY = 40; // clients, where that counts

// What became of a request: 'answered', 'ended' when all of it had been fetched, 'reset', 'refused' or 'silent', and the port
// that it came from. Some come later than their connection.
function ask(port, number) {
  return new Promise((resolve) => {
    let text = '';
    const later = number % 8 === 0 ? next() * 30 : 0;
    const request = () => socket.write(`GET /${number} ${CONNECTION_CLOSE}X-Client: ${number % MANY}\r\n\r\n`);
    let from;
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => {
      from = socket.localPort;
      if (later > 0) setTimeout(request, later);
      else request();
    });
    socket.setTimeout(WATCHDOG, () => finish('silent'));
    const finish = (what) => {
      socket.destroy();
      resolve({ number, what, from });
    };
    socket.setEncoding('utf8').on('data', (piece) => { text += piece; });
    socket.on('error', (error) => finish(error.syscall === 'connect' ? 'refused' : 'reset'));
    socket.on('end', () => {
      if (text.endsWith(`\r\n\r\n${number}`)) finish('answered');
      else setTimeout(finish, later + RESET, 'ended'); // a request that comes after the end is answered with a reset
    });
  });
}

console.log(`seed ${seed}`);
cluster.setupPrimary({ exec: new URL('../fixtures/cluster/notes.js', import.meta.url).pathname, args: [], respawn: { delay: 0, maxDelay: 0, limit: Number.MAX_SAFE_INTEGER }, ...settings });
const first = Array.from({ length: WORKERS }, () => cluster.fork({ NOTES_FILE: notes, ...(OWN && { NOTES_PORTS: '1' }) }));
const [{ port }] = (await Promise.all(first.map((worker) => once(worker, 'listening'))))[0];

const without = []; // requests without an answer, and what became of them
let asked = 0;
let killed = 0;
// One kill for each stretch of the requests, somewhere in it.
const stretch = requests / kills;
const moments = Array.from({ length: kills }, (_, index) => Math.floor(stretch * (index + next())));

async function client() {
  while (asked < requests) {
    const number = asked++;
    if (killed < kills && number >= moments[killed]) {
      const all = Object.values(cluster.workers).filter((worker) => worker.state === 'listening');
      if (all.length > 0) {
        killed++;
        const victim = all[Math.floor(next() * all.length)];
        setTimeout(() => victim.process.kill('SIGKILL'), next() * 3);
      }
    }
    const one = await ask(port, number);
    if (one.what !== 'answered') without.push(one);
  }
}

try {
  await Promise.all(Array.from({ length: CLIENTS }, client));
  const noted = new Set(fs.readFileSync(notes, 'utf8').split('\n'));
  const unheard = without.filter(({ number }) => !noted.has(`${number}`));
  const fetched = unheard.filter(({ what }) => what === 'ended');
  const accepted = unheard.filter(({ what, from }) => what === 'reset' && noted.has(`port ${from}`));
  const lost = unheard.filter((one) => !fetched.includes(one) && !accepted.includes(one));
  console.log(`${requests} requests, ${killed} kills of one of ${WORKERS} workers: ${requests - without.length} answered`);
  console.log(`${without.length - unheard.length} were begun by a program that was killed, ${fetched.length} just fetched by its process${OWN ? `, ${accepted.length} accepted` : ''}`);
  console.log(`${lost.length} lost`);
  assert.strictEqual(killed, kills);
  if (OWN) assert.ok(lost.length <= kills && lost.every(({ what }) => what === 'reset'), JSON.stringify(lost));
  else assert.deepStrictEqual(lost, []);
} finally {
  const workers = Object.values(cluster.workers);
  cluster.settings = {};
  cluster.disconnect();
  for (const worker of workers) worker.process.kill('SIGKILL');
  await Promise.all(workers.map((worker) => worker.isDead() || once(worker, 'exit')));
  fs.rmSync(place, { recursive: true, force: true });
}
