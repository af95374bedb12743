// Kills a server under load at random moments and starts it again: `node __test__/endpoint/restarts.mjs [cycles, 20
// unless said] [scheme, unix: or rsipc:] [clients, 6]`. Some are killed before they listen.
//
// The clients ask and send without end and connect again. Each request has to be answered once, with its own answer;
// acted on at least once; and again only by a later server that was told so. Each message arrives once or is lost with
// a server, in order. Nobody cleans up: the next server takes over what the last one has left, no client keeps a
// descriptor, and the last server, which closes, leaves nothing.
import assert from 'node:assert';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const { connect } = createRequire(import.meta.url)('../../index.js');
const program = fileURLToPath(new URL('../fixtures/endpoint/ledger.js', import.meta.url));

const AT_ONCE = 4; // requests of a client
const random = (below) => Math.floor(Math.random() * below);

const descriptors = () => (process.platform === 'linux' ? fs.readdirSync('/proc/self/fd').length : 0);

// One client's load; `stop()` resolves when its last request is answered.
function load(client, name, counts) {
  let going = true;
  let number = 0;
  const ask = async () => {
    while (going) {
      const mine = ++number;
      const answer = await client.request('act', { client: name, number: mine });
      assert.deepStrictEqual({ client: answer.client, number: answer.number }, { client: name, number: mine });
      counts.answers.set(`${name} ${mine}`, answer.pid);
    }
  };
  const send = async () => {
    for (let message = 1; going; message++) {
      await client.send({ client: name, number: message });
      counts.sent++;
      await delay(1);
    }
  };
  client.on('disconnect', (error) => {
    assert.strictEqual(error.code, 'ERR_RSIPC_PEER_GONE');
    counts.disconnects++;
  });
  const done = Promise.all([...Array.from({ length: AT_ONCE }, ask), send()]);
  done.catch(() => {}); // told by stop
  return async () => {
    going = false;
    await done;
  };
}

// Holds what the servers have noted against what the clients were told.
function check(file, answers) {
  const requests = new Map(); // of `client number`: how often, and under which id
  const messages = new Map(); // of a client: the last number
  let again = 0;
  let arrived = 0;
  for (const line of fs.readFileSync(file, 'latin1').split('\n').slice(0, -1)) {
    const [pid, client, number, id, resent] = line.split(' ');
    if (id === undefined) {
      const last = messages.get(client) ?? 0;
      assert.ok(Number(number) > last, `message ${number} of client ${client} came after ${last}`);
      messages.set(client, Number(number));
      arrived++;
      continue;
    }
    const key = `${client} ${number}`;
    const known = requests.get(key);
    if (known === undefined) {
      requests.set(key, { id, pids: new Set([pid]) });
      continue;
    }
    again++;
    assert.strictEqual(id, known.id, `request ${key} came again under another id`);
    assert.strictEqual(resent, 'true', `request ${key} came twice, and the second handler was not told`);
    assert.ok(!known.pids.has(pid), `request ${key} came twice to one server`);
    known.pids.add(pid);
  }
  for (const [key, pid] of answers) assert.ok(requests.get(key)?.pids.has(String(pid)), `request ${key} was answered by ${pid}, which has not acted on it`);
  for (const key of requests.keys()) assert.ok(answers.has(key), `request ${key} was acted on and never answered`);
  return { answers: answers.size, again, arrived };
}

export async function run(cycles, scheme = 'unix:', clients = 6) {
  const place = fs.mkdtempSync(path.join(os.tmpdir(), `rsipc-test-${process.pid}-`));
  const folder = path.join(place, 'sockets');
  fs.mkdirSync(folder);
  const file = path.join(place, 'ledger');
  const endpoint = scheme === 'unix:' ? `unix:${path.join(folder, 's')}` : `rsipc:test.restarts.${process.pid}`;
  const counts = { kills: 0, early: 0, disconnects: 0, sent: 0, answers: new Map() };
  let child;
  const start = () => {
    child = spawn(process.execPath, [program, endpoint, file], { stdio: ['ignore', 'pipe', 'inherit'] });
    return once(child.stdout, 'data');
  };
  const all = [];
  try {
    await start();
    for (let name = 0; name < clients; name++) all.push(await connect(endpoint, { reconnect: { min: 1, max: 30 } }));
    const before = descriptors();
    const stops = all.map((client, name) => load(client, name, counts));
    for (let cycle = 0; cycle < cycles; cycle++) {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
      counts.kills++;
      const listening = start();
      listening.catch(() => {});
      if (random(4) === 0) {
        counts.early++;
        await delay(random(100));
      } else {
        await listening;
        await delay(random(60));
      }
    }
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    await start();
    for (const stop of stops) await stop();
    for (const client of all) assert.strictEqual(client.connected, true);
    for (let looks = 0; looks < 200 && descriptors() > before; looks++) await delay(10);
    assert.ok(descriptors() <= before, `${descriptors()} descriptors are open, and were ${before}`);
    await Promise.all(all.map((client) => client.close()));
    const closed = once(child, 'exit');
    child.kill('SIGTERM');
    assert.deepStrictEqual(await closed, [0, null]);
    assert.deepStrictEqual(fs.readdirSync(folder), []);
    const { answers, ...counted } = counts;
    return { ...counted, ...check(file, answers) };
  } finally {
    for (const client of all) client.destroy();
    child.kill('SIGKILL');
    fs.rmSync(place, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [cycles = '20', scheme, clients] = process.argv.slice(2);
  console.log(JSON.stringify(await run(Number(cycles), scheme, clients && Number(clients))));
}
