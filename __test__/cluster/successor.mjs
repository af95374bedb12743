// The long run: node successor.mjs [REPLACEMENTS] [kill] replaces a primary again and again under requests, over new
// connections and over such as are kept. None may be refused, or fail. With `kill`, old primaries are killed at random
// moments after they have handed their descriptors over: requests that their workers had fail then, but none is refused.
import assert from 'node:assert';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import primaries from '../helpers/primaries.js';

const [replacements = '20', kill] = process.argv.slice(2);
const CLIENTS = 4;
const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'rsipc-successor-'));

const failed = new Map();
const seen = new Set();
let done = 0;

function request(port, agent) {
  return new Promise((resolve) => {
    const fail = (error) => {
      failed.set(error.code ?? error.message, (failed.get(error.code ?? error.message) ?? 0) + 1);
      resolve();
    };
    http.get({ host: '127.0.0.1', port, agent }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece) => { text += piece; }).on('error', fail).on('end', () => {
        seen.add(text);
        done++;
        resolve();
      });
    }).on('error', fail);
  });
}

const start = (port) => primaries.start('long', 2, [`${port}`], { directory, variables: { TAKE_OVER: '{"drain":2000}' } });

let primary = start(0);
try {
  const { port } = await primary.says('listening');
  await primary.says('before');
  const agent = new http.Agent({ keepAlive: true, maxSockets: CLIENTS });
  let going = true;
  const clients = [...Array.from({ length: CLIENTS }, () => agent), ...Array.from({ length: CLIENTS }, () => false)].map(async (each) => {
    while (going) await request(port, each);
  });
  for (let count = 0; count < Number(replacements); count++) {
    const old = primary;
    // Port 0 is what is listened on already.
    primary = start(0);
    if (kill !== undefined) {
      await primary.says('listening'); // it has the descriptors
      await delay(Math.random() * 100);
      old.child.kill('SIGKILL');
    }
    await primary.says('before');
    await old.ended;
  }
  going = false;
  await Promise.all(clients);
  agent.destroy();
  const total = [...failed.values()].reduce((sum, times) => sum + times, 0);
  console.log(`${done} requests over ${replacements} replacements, ${failed.get('ECONNREFUSED') ?? 0} refused, ${total} failed; ${seen.size} primaries have answered`);
  for (const [message, times] of failed) console.log(`  ${times} × ${message}`);
  assert.strictEqual(failed.get('ECONNREFUSED'), undefined);
  if (kill === undefined) assert.strictEqual(total, 0);
} finally {
  await primary.stop();
  fs.rmSync(directory, { recursive: true, force: true });
}
