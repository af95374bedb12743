'use strict';
// A process that is stopped and goes on, at every kind of endpoint that has room to wait in: nothing is lost, nothing
// comes twice, and little waits. And answers that never come.

const { test } = require('node:test');
const assert = require('node:assert');
const path = require('node:path');
const { spawn } = require('node:child_process');
const net = require('node:net');
const { leavesNothing, stopped } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { directory, pair, PLACES } = require('./places.js');
const { serve, connect } = require('../../index.js');

leavesNothing();

const INDEX = JSON.stringify(require.resolve('../../index.js'));
const place = (t, scheme) => (scheme === 'tcp:' ? 'tcp://127.0.0.1:0' : `${scheme}${path.join(directory(t), 's')}`);

// Another process that serves, and prints where it does; and then the number of each message.
function reader(t, endpoint, options) {
  const code = `
    const { serve } = require(${INDEX});
    serve(${JSON.stringify(endpoint)}, ${JSON.stringify(options)}).then((server) => {
      console.log(server.address());
      server.on('connection', (connection) => connection.on('message', ({ number }) => process.stdout.write(number + '\\n')));
    });`;
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(async () => {
    const ended = happened(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  });
  child.printed = '';
  child.stdout.setEncoding('utf8').on('data', (text) => { child.printed += text; });
  return child;
}

for (const [scheme, codec] of [['unix:', 'json'], ['unix:', 'v8'], ['tcp:', 'lines'], ['unix+seqpacket:', 'json'], ['unix+dgram:', 'json'], ['fifo:', 'lines']]) {
  test(`${scheme} ${codec}: a reader that is stopped and goes on has everything once and in order, and its sender waited`, { timeout: 60_000 }, async (t) => {
    const options = { codec, highWaterMark: 100_000 };
    const child = reader(t, place(t, scheme), options);
    await until(() => child.printed.includes('\n'), 'it to listen');
    const client = await connect(child.printed.trim(), options);
    t.after(() => client.destroy());
    child.kill('SIGSTOP');
    await stopped(child.pid);
    const [COUNT, FILLER] = [scheme === 'tcp:' ? 20_000 : 4_000, 'x'.repeat(1_000)]; // more than the system has room for
    let [sent, most] = [0, 0];
    const all = (async () => {
      for (; sent < COUNT; sent++) {
        const room = client.send({ number: sent, filler: FILLER });
        most = Math.max(most, client.queued);
        await room;
      }
    })();
    let before = -1;
    await until(async () => {
      [before] = [sent];
      await new Promise((resolve) => setTimeout(resolve, 50));
      return before === sent && client.queued > 0;
    }, 'the sender to wait');
    assert.ok(sent < COUNT / 2, `${sent} were taken`);
    child.kill('SIGCONT');
    await all;
    assert.ok(most < 200_000, `${most} bytes waited`);
    await until(() => child.printed.split('\n').length >= COUNT + 2, 'all to be told');
    assert.deepStrictEqual(child.printed.trim().split('\n').slice(1).map(Number), Array.from({ length: COUNT }, (_, number) => number));
  });
}

test('requests that are never answered leave nothing behind when their time is over', { timeout: 60_000 }, async (t) => {
  const { server, client, accepted } = await pair(t, { maxRequests: 10_000 });
  const never = [];
  server.handle('sometimes', (number, asked) => (number % 10 === 0 ? new Promise((resolve) => { never.push([resolve, asked]); }) : number));
  for (let round = 0; round < 5; round++) {
    const answers = await Promise.allSettled(Array.from({ length: 2_000 }, (_, number) => client.request('sometimes', number, number % 10 === 0 ? { timeout: 200 } : {})));
    assert.strictEqual(answers.filter(({ reason }) => reason?.code === 'ERR_RSIPC_TIMEOUT').length, 200);
    assert.strictEqual(answers.filter(({ status }) => status === 'fulfilled').length, 1_800);
    await until(() => never.length === 200 && never.every(([, asked]) => asked.over), 'them to be cancelled');
    for (const [resolve] of never.splice(0)) resolve('too late');
  }
  // There is room for as many as in the beginning, on both sides.
  const held = Array.from({ length: 10_000 }, () => client.request('sometimes', 0));
  await until(() => never.length === 10_000, 'all to be asked');
  await assert.rejects(client.request('sometimes', 1), { code: 'ERR_RSIPC_TOO_MANY_REQUESTS' });
  for (const [resolve] of never) resolve('yes');
  assert.deepStrictEqual(new Set(await Promise.all(held)), new Set(['yes']));
  assert.strictEqual(accepted.connected, true);
});

test('of several answers to one request the first counts, and one from another connection is none', async (t) => {
  const answers = [];
  const frame = (kind, text) => {
    const head = Buffer.alloc(6);
    head.writeUInt32LE(text.length);
    head[4] = kind;
    return Buffer.concat([head, Buffer.from(text)]);
  };
  const file = path.join(directory(t), 's');
  const sockets = [];
  const stranger = net.createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {}).write('rsipc/1 {"codec":"json"}\n');
    socket.on('data', (bytes) => answers.push([socket, bytes.includes('"ask"')]));
  }).listen(file);
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    stranger.close();
  });
  await happened(stranger, 'listening');
  const [asks, other] = [await connect(`unix:${file}`), await connect(`unix:${file}`)];
  t.after(() => { asks.destroy(); other.destroy(); });
  const answer = asks.request('ask');
  await until(() => answers.some(([, asked]) => asked), 'the question');
  sockets[1].write(Buffer.concat([frame(3, '[1,"of another"]\n'), frame(1, '"behind"\n')]));
  assert.deepStrictEqual(await happened(other, 'message'), ['behind']);
  sockets[0].write(Buffer.concat([frame(3, '[1,"first"]\n'), frame(3, '[1,"second"]\n'), frame(4, '[1,{"message":"third"}]\n'), frame(1, '"behind"\n')]));
  assert.strictEqual(await answer, 'first');
  assert.deepStrictEqual(await happened(asks, 'message').catch(() => []), ['behind']);
});

test('thousands that connect and go without a word are forgotten, and the server serves on', { timeout: 60_000 }, async (t) => {
  const server = await serve(PLACES['unix:'](t));
  t.after(() => server.close({ timeout: 100 }));
  server.handle('ping', () => 'pong');
  const client = await connect(server.address());
  t.after(() => client.destroy());
  const code = `
    const net = require('node:net');
    let left = 2_000, open = 0;
    const more = () => {
      while (left > 0 && open < 200) {
        left--; open++;
        const socket = net.connect(${JSON.stringify(server.address().slice('unix:'.length))}, () => socket.destroy());
        socket.on('error', () => {}).on('close', () => { open--; more(); });
      }
    };
    more();`;
  const child = spawn(process.execPath, ['-e', code], { stdio: 'inherit' });
  const ended = happened(child, 'exit');
  let over = false;
  ended.then(() => { over = true; });
  let count = 0;
  for (; !over; count++) assert.strictEqual(await client.request('ping'), 'pong');
  assert.ok(count > 10);
  await until(() => server.pending.size === 0 && server.connections.size === 1, 'them to be forgotten');
});
