'use strict';
// A primary takes the place of another one: what clients see of it, and what happens when one of the two ends meanwhile.

const assert = require('node:assert');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { test, after } = require('node:test');
const { cluster, get } = require('../helpers/cluster.js');
const { alive, leavesNothing, stopped, temporary } = require('../helpers/leavings.js');
const primaries = require('../helpers/primaries.js');
const { until } = require('../helpers/wait.js');

// A test that fails must not leave what it has started.
const started = [];
after(() => {
  for (const { child } of started) if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
});
leavesNothing();

const place = temporary();
process.env.RSIPC_RUN_DIR = path.join(place, 'run');

// `options`: of takeOver.
function start(name, args, { options = {}, count = 1, settings = {}, ...rest } = {}) {
  const variables = { TAKE_OVER: JSON.stringify(options), SETTINGS: JSON.stringify(settings), ...rest.variables };
  const primary = primaries.start(name, count, args.map(String), { ...rest, variables });
  started.push(primary);
  return primary;
}

// The processes that have the listening socket of a port.
function holders(port) {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const line = fs.readFileSync('/proc/net/tcp', 'latin1').split('\n').find((text) => text.includes(`:${hex} 00000000:0000 0A`));
  const inode = line?.trim().split(/\s+/)[9];
  return started.filter(({ pid }) => {
    try {
      return fs.readdirSync(`/proc/${pid}/fd`).some((fd) => fs.readlinkSync(`/proc/${pid}/fd/${fd}`) === `socket:[${inode}]`);
    } catch {
      return false; // it has ended
    }
  });
}

// One that is in its place and listens.
async function first(...given) {
  const primary = start(...given);
  const { port } = await primary.says('listening');
  assert.strictEqual(await primary.says('before'), null);
  return { primary, port };
}

test('no request is refused or fails while primaries replace one another, over connections that are kept and over new ones', async () => {
  let { primary, port } = await first('load', [0], { count: 2 });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 2 });
  let going = true;
  const seen = new Set();
  const clients = [agent, agent, false, false].map(async (each) => {
    while (going) {
      seen.add(await new Promise((resolve, reject) => {
        http.get({ host: '127.0.0.1', port, agent: each }, (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (piece) => { text += piece; }).on('end', () => resolve(text)).on('error', reject);
        }).on('error', reject);
      }));
    }
  });
  const failed = Promise.all(clients);
  failed.catch(() => {}); // told below
  const pids = [primary.pid];
  for (let round = 0; round < 3; round++) {
    const old = primary;
    primary = start('load', [0], { count: 2 });
    pids.push(primary.pid);
    assert.deepStrictEqual(await primary.says('before'), { pid: old.pid });
    assert.deepStrictEqual(await old.ended, [0, null]);
    await until(() => seen.has(`${primary.pid}`), 'an answer of the new primary');
  }
  going = false;
  await failed;
  agent.destroy();
  assert.deepStrictEqual([...seen].map(Number).sort(), pids.sort());
  await primary.stop();
});

for (const scheduling of ['round-robin', 'shared']) {
  test(`a UNIX socket stays where it is, with ${scheduling}, and goes with the last primary`, async () => {
    const file = path.join(place, `${scheduling}.sock`);
    const { primary: old } = await first(scheduling, [file], { settings: { scheduling } });
    const { ino } = fs.statSync(file);
    const primary = start(scheduling, [file], { settings: { scheduling } });
    await primary.says('before');
    await old.ended;
    assert.strictEqual(fs.statSync(file).ino, ino);
    assert.strictEqual(await get(file), `${primary.pid}`);
    await primary.stop();
    assert.ok(!fs.existsSync(file));
  });
}

test('a primary whose workers accept for themselves is replaced by one that accepts for them', async () => {
  const { primary: old, port } = await first('mixed', [0], { settings: { scheduling: 'shared' } });
  const primary = start('mixed', [0]);
  await primary.says('before');
  await old.ended;
  assert.strictEqual(await get(port), `${primary.pid}`);
  await primary.stop();
});

test('datagrams go to the workers of the new primary', async () => {
  const { primary: old, port } = await first('datagrams', [], { worker: 'answers-datagrams' });
  const primary = start('datagrams', [], { worker: 'answers-datagrams' });
  await primary.says('before');
  await old.ended;
  const socket = require('node:dgram').createSocket('udp4');
  const answer = new Promise((resolve) => { socket.once('message', (text) => resolve(`${text}`)); });
  socket.send('who?', port, '127.0.0.1');
  assert.strictEqual(await answer, `${primary.pid}`);
  socket.close();
  await primary.stop();
});

for (const [what, worker, why] of [['end at their start', 'crash', /it has exited \(code 7\)/], ['never listen', 'silent', /0 of 1 workers listen after 1500 ms/]]) {
  test(`a primary whose workers ${what} leaves the old one in place, and both are told why`, async () => {
    const { primary: old, port } = await first(worker, [0]);
    const primary = start(worker, [0], { variables: { WORKER: worker }, options: { drain: 100, ...(worker === 'silent' && { timeout: 1500 }) } });
    const [code, message] = await primary.says('failed');
    assert.strictEqual(code, 'ERR_RSIPC_WORKER_NOT_READY');
    assert.match(message, why);
    assert.strictEqual(await old.says('notReplaced'), message);
    await primary.ended;
    assert.strictEqual(await get(port), `${old.pid}`);
    // And it can be replaced after that.
    const next = start(worker, [0]);
    await next.says('before');
    assert.deepStrictEqual(await old.ended, [0, null]);
    await next.stop();
  });
}

test('an old primary that is killed while it is being replaced has left its sockets to the new one', async () => {
  const { primary: old, port } = await first('killed', [0]);
  const primary = start('killed', [0], { worker: 'says-when-told', variables: { SAYS: path.join(place, 'say') } });
  // Its worker does not listen yet. A second descriptor of the socket is there, in another process.
  await until(() => holders(port).length === 2, 'the new primary to have the socket');
  await until(() => fs.existsSync(path.join(place, 'say')), 'the new worker');
  old.child.kill('SIGKILL');
  await old.ended;
  const waits = get(port); // in the kernel: nobody accepts
  fs.rmSync(path.join(place, 'say'));
  assert.strictEqual(await waits, `${primary.pid}`);
  assert.deepStrictEqual(await primary.says('before'), { pid: old.pid });
  await primary.stop();
});

test('a new primary that is killed before it is ready leaves the old one as it was', async () => {
  const { primary: old, port } = await first('dies', [0]);
  const primary = start('dies', [0], { variables: { WORKER: 'silent' } });
  await until(async () => (await get(port)) === `${old.pid}` && primary.child.connected, 'the new primary');
  primary.child.kill('SIGKILL');
  await primary.ended;
  assert.strictEqual(await get(port), `${old.pid}`);
  const next = start('dies', [0]);
  assert.deepStrictEqual(await next.says('before'), { pid: old.pid });
  await old.ended;
  await next.stop();
});

test('an old primary that is stopped does not answer, and the new one says so and ends', async () => {
  const { primary: old, port } = await first('stopped', [0]);
  old.child.kill('SIGSTOP');
  await stopped(old.pid);
  const primary = start('stopped', [0], { options: { timeout: 300, drain: 0 } });
  assert.strictEqual((await primary.says('failed'))[0], 'ERR_RSIPC_TIMEOUT');
  await primary.ended;
  old.child.kill('SIGCONT');
  assert.strictEqual(await get(port), `${old.pid}`);
  await old.stop();
});

test('primaries that come at the same time take the name one after the other', async () => {
  const { primary: old, port } = await first('many', [0]);
  const all = [old, ...Array.from({ length: 3 }, () => start('many', [0]))];
  const befores = await Promise.all(all.slice(1).map((primary) => primary.says('before')));
  assert.strictEqual(new Set(befores.map(({ pid }) => pid)).size, 3);
  const last = all.find(({ pid }) => !befores.some((before) => before.pid === pid));
  await Promise.all(all.filter((primary) => primary !== last).map(({ ended }) => ended));
  assert.strictEqual(await get(port), `${last.pid}`);
  await last.stop();
});

test('a primary that listens for \'replaced\' ends when it wants to', async () => {
  const { primary: old } = await first('listens', [0], { variables: { LISTENS_FOR_REPLACED: '1' } });
  const primary = start('listens', [0]);
  assert.deepStrictEqual(await old.says('replaced'), { pid: primary.pid });
  assert.ok(alive(old.pid));
  old.child.disconnect();
  await old.ended;
  await primary.stop();
});

test('what cannot be a name, and options that cannot be, are refused', async () => {
  await assert.rejects(cluster.takeOver(7), { code: 'ERR_INVALID_ARG_TYPE' });
  await assert.rejects(cluster.takeOver('x', { timeout: 0 }), { code: 'ERR_OUT_OF_RANGE' });
  await assert.rejects(cluster.takeOver('../x'), { code: 'ERR_RSIPC_INVALID_NAME' });
});
