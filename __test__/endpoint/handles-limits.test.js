'use strict';
// Handles where there are not enough descriptors, too many on their way, or nobody any more who sent them: each arrives
// once or its sender is told, and none stays open.

const { test } = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { spawn, spawnSync, execFileSync } = require('node:child_process');
const { leavesNothing, stopped, temporary } = require('../helpers/leavings.js');
const { happened, text, until } = require('../helpers/wait.js');
const { PLACES, pair } = require('./places.js');
const { serve, connect, Cell, Fd } = require('../../index.js');

// The directory of names stays open for the life of a process that has had shared memory.
Cell.create({ capacity: 64 }).close();

leavesNothing();

const INDEX = JSON.stringify(require.resolve('../../index.js'));
const USER = 61_001; // somebody who is not root
const linux = { skip: process.platform !== 'linux' };

function anFd() {
  const number = fs.openSync('/dev/null');
  const fd = new Fd(number); // has a duplicate
  fs.closeSync(number);
  return fd;
}

const descriptors = () => fs.readdirSync('/proc/self/fd').length;

// Another process that takes them, and a client of it.
async function taker(t) {
  const endpoint = PLACES['unix:'](t);
  const child = spawn(process.execPath, [path.join(__dirname, '../fixtures/endpoint/takes-handles.js'), endpoint], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(async () => {
    const ended = happened(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  });
  await happened(child.stdout, 'data');
  const client = await connect(endpoint);
  t.after(() => client.destroy());
  return { child, client };
}

// Allows a process so many descriptors more than it has.
function allow(pid, more) {
  const open = new Set(fs.readdirSync(`/proc/${pid}/fd`));
  let free = 0;
  while (open.has(`${free}`)) free++;
  execFileSync('prlimit', ['--pid', `${pid}`, `--nofile=${free + more}:`]);
}

for (const free of [0, 1, 2, 3]) {
  test(`a receiver with ${free} descriptors left: each handle arrives or its sender is told, and no other message is lost`, linux, async (t) => {
    const { child, client } = await taker(t);
    await client.send('warm', anFd()); // whatever is opened with the first ones is
    await client.request('let go');
    const open = await client.request('open');
    allow(child.pid, free);
    const fates = [];
    for (let number = 0; number < 20; number++) {
      client.send(number);
      // Every third has more than there is room for.
      const handles = number % 3 === 2 ? Array.from({ length: 10 }, anFd) : anFd();
      fates.push(client.send({ number }, handles).then(() => [handles].flat().length, (error) => {
        assert.strictEqual(error.code, 'ERR_RSIPC_HANDLE_REJECTED');
        return 0;
      }));
    }
    const taken = await Promise.all(fates);
    const { messages, kept } = await client.request('seen');
    assert.deepStrictEqual(messages.filter((one) => typeof one === 'number'), Array.from({ length: 20 }, (_, number) => number));
    assert.deepStrictEqual(messages.filter((one) => one.number !== undefined).map(({ number }) => number), taken.flatMap((count, number) => (count > 0 ? [number] : [])));
    assert.strictEqual(kept, taken.reduce((sum, count) => sum + count, 0));
    assert.ok(kept <= free, `${kept}`);
    execFileSync('prlimit', ['--pid', `${child.pid}`, '--nofile=1000:']);
    await client.request('let go');
    assert.strictEqual(await client.request('open'), open);
    await client.send('again', anFd());
  });
}

test('a sender without a descriptor to keep a handle by is told, has it still, and can send it later', linux, async (t) => {
  const { client } = await taker(t);
  const code = `
    const fs = require('node:fs');
    const { connect, Fd } = require(${INDEX});
    connect(${JSON.stringify(client.endpoint)}).then(async (client) => {
      const number = fs.openSync('/dev/null');
      const fd = new Fd(number);
      const taken = [];
      for (;;) try { taken.push(fs.openSync('/dev/null')); } catch { break; }
      const error = await client.send('no', fd).catch((caught) => caught);
      await client.send('plain');
      for (const one of taken) fs.closeSync(one);
      await client.send('yes', fd);
      console.log(error.code, client.connected, client.error);
      await client.close();
    });`;
  const child = spawn('sh', ['-c', 'ulimit -n 100; exec "$0" -e "$1"', process.execPath, code], { stdio: ['ignore', 'pipe', 'inherit'] });
  assert.strictEqual(await text(child.stdout), 'EMFILE true null\n');
  assert.deepStrictEqual(await client.request('seen'), { messages: ['plain', 'yes'], kept: 1 });
});

test('a receiver that is stopped holds up so many handles and no more, and has them all when it goes on', linux, async (t) => {
  const { child, client } = await taker(t);
  child.kill('SIGSTOP');
  await stopped(child.pid);
  const before = descriptors();
  const [COUNT, MOST] = [3_000, 1_024];
  const handles = Array.from({ length: COUNT }, anFd);
  const fates = handles.map((handle, number) => client.send(number, handle).then(() => true, (error) => {
    assert.strictEqual(error.code, 'ERR_RSIPC_OUTBOX_FULL');
    return false;
  }));
  assert.ok(descriptors() - before <= COUNT, `${descriptors() - before}`);
  assert.deepStrictEqual(handles.map((handle) => handle.fd >= 0), handles.map((_, number) => number >= MOST)); // who was refused has it still
  for (const handle of handles.slice(MOST)) handle.close();
  assert.ok(descriptors() - before <= MOST, `${descriptors() - before}`);
  child.kill('SIGCONT');
  assert.deepStrictEqual(await Promise.all(fates), handles.map((_, number) => number < MOST));
  assert.deepStrictEqual((await client.request('seen')).messages, Array.from({ length: MOST }, (_, number) => number));
  assert.strictEqual(descriptors(), before);
  for (let round = 0; round < 3; round++) await Promise.all(Array.from({ length: 100 }, (_, number) => client.send(number, anFd())));
});

test('where the kernel has too many descriptors on their way the rest waits without spinning, and goes when it can', linux, async () => {
  // For root there is no such limit.
  const directory = temporary();
  if (process.getuid() === 0) fs.chownSync(directory, USER, USER);
  const code = `
    const fs = require('node:fs');
    const { spawn } = require('node:child_process');
    if (process.getuid() === 0) { process.setgroups([]); process.setgid(${USER}); process.setuid(${USER}); }
    const { connect, Fd } = require(${INDEX});
    const { execFileSync } = require('node:child_process');
    const endpoint = 'unix:${directory}/s';
    const taker = spawn(process.execPath, [${JSON.stringify(path.join(__dirname, '../fixtures/endpoint/takes-handles.js'))}, endpoint], { stdio: ['ignore', 'pipe', 'inherit'] });
    process.on('exit', () => taker.kill('SIGKILL'));
    taker.stdout.once('data', async () => {
      const client = await connect(endpoint);
      execFileSync('prlimit', ['--pid', String(process.pid), '--nofile=400:400']);
      taker.kill('SIGSTOP');
      const bundle = () => Array.from({ length: 64 }, () => new Fd(0));
      const fates = [];
      for (let number = 0; number < 9; number++) {
        fates.push(client.send(number, bundle()));
        await new Promise(setImmediate); // what waits for the end of a tick is open twice
      }
      fates.push(client.send('behind'));
      await new Promise((resolve) => setTimeout(resolve, 400));
      const waits = client.queued > 0;
      const before = process.cpuUsage();
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      const { user, system } = process.cpuUsage(before);
      taker.kill('SIGCONT');
      await Promise.all(fates);
      const { messages, kept } = await client.request('seen');
      console.log(JSON.stringify({ waits, rests: user + system < 500_000, messages, kept }));
      process.exit();
    });`;
  const child = spawn(process.execPath, ['-e', code], { cwd: '/', stdio: ['pipe', 'pipe', 'inherit'] });
  const said = await text(child.stdout);
  child.stdin.destroy();
  assert.deepStrictEqual(JSON.parse(said), { waits: true, rests: true, messages: [0, 1, 2, 3, 4, 5, 6, 7, 8, 'behind'], kept: 9 * 64 });
});

test('handles and messages of one tick arrive in their order, and nothing waits for an answer', async (t) => {
  const { client, accepted } = await pair(t);
  const got = [];
  accepted.on('message', (message, handle) => {
    got.push(message);
    assert.strictEqual(handle !== undefined, message % 3 === 0);
    handle?.close();
  });
  const COUNT = 600;
  const taken = [];
  for (let number = 0; number < COUNT; number++) taken.push(number % 3 === 0 ? client.send(number, anFd()) : client.send(number));
  await Promise.all(taken);
  await until(() => got.length === COUNT, 'all to come');
  assert.deepStrictEqual(got, Array.from({ length: COUNT }, (_, number) => number));
});

test('what a process has sent before it ended is there for who reads later', async (t) => {
  const server = await serve(PLACES['unix:'](t));
  t.after(() => server.close({ timeout: 500 }));
  const connection = happened(server, 'connection');
  const file = path.join(temporary(), 'file');
  const code = `
    const fs = require('node:fs');
    const { connect, Fd } = require(${INDEX});
    connect(${JSON.stringify(server.address())}).then((client) => {
      for (let number = 0; number < 20; number++) {
        const fd = fs.openSync(${JSON.stringify(file)} + number, 'w+');
        fs.writeSync(fd, 'file ' + number);
        client.send(number, new Fd(fd));
        fs.closeSync(fd);
        fs.unlinkSync(${JSON.stringify(file)} + number);
      }
      setImmediate(() => process.kill(process.pid, 'SIGKILL'));
    });`;
  const child = spawn(process.execPath, ['-e', code], { stdio: 'inherit' });
  const ended = happened(child, 'exit');
  const [accepted] = await connection;
  const got = [];
  const closed = happened(accepted, 'close');
  accepted.on('message', (message, fd) => {
    const bytes = Buffer.alloc(10);
    const length = fs.readSync(fd.fd, bytes, 0, 10, 0);
    got.push([message, bytes.toString('utf8', 0, length)]);
    fd.close();
  });
  accepted.pause();
  assert.deepStrictEqual(await ended, [null, 'SIGKILL']);
  accepted.resume();
  await closed;
  assert.deepStrictEqual(got, Array.from({ length: 20 }, (_, number) => [number, `file ${number}`]));
});

test('ten thousand messages with 1 to 60 handles nobody takes leave as many descriptors open as before', { timeout: 60_000 }, async (t) => {
  const { server } = await pair(t, { server: { acceptHandles: ['net.Socket'] } });
  server.on('connection', (connection) => connection.on('message', () => assert.fail('nothing is delivered')));
  const before = descriptors();
  const stranger = `
import json, socket, struct, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM); s.connect(sys.argv[1])
s.sendall(b'rsipc/1 {"codec":"json"}\\n')
while not s.recv(1, socket.MSG_PEEK): pass
line = b''
while not line.endswith(b'\\n'): line += s.recv(1)
refused = 0
for batch in range(100):
    for one in range(100):
        number = batch * 100 + one + 1
        count = number % 60 + 1
        said = json.dumps({'id': number, 'handles': [{'type': 'fd'}] * count}).encode()
        payload = struct.pack('<I', len(said)) + said + b'1'
        socket.send_fds(s, [struct.pack('<IBB', len(payload), 9, count << 1) + payload], [0] * count)
    answers = b''
    while refused < (batch + 1) * 100:
        answers += s.recv(65536)
        while len(answers) >= 6 and len(answers) >= 6 + struct.unpack_from('<I', answers)[0]:
            length, kind = struct.unpack_from('<IB', answers)
            if kind == 4: refused += answers[6:6 + length].count(b'\\n')
            answers = answers[6 + length:]
print(refused)`;
  const child = spawn('python3', ['-c', stranger, server.address().slice('unix:'.length)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const said = await text(child.stdout);
  child.stdin.destroy();
  assert.strictEqual(said, '10000\n');
  await until(() => descriptors() <= before, 'descriptors to be closed');
});

test('a handle that was received is no other program\'s', async (t) => {
  const { client, accepted } = await pair(t);
  const count = () => spawnSync('sh', ['-c', 'ls /proc/self/fd | wc -l'], { encoding: 'utf8' }).stdout;
  const before = count();
  const kept = [];
  accepted.on('message', (message, handles) => kept.push(...handles));
  await client.send('x', Array.from({ length: 10 }, anFd));
  assert.strictEqual(kept.length, 10);
  assert.strictEqual(count(), before);
  for (const one of kept) one.close();
});

test('a server without descriptors turns clients away without spinning, serves those it has, and others again later', linux, async (t) => {
  const { child, client } = await taker(t);
  allow(child.pid, 5);
  const endpoint = client.endpoint;
  const attempts = await Promise.allSettled(Array.from({ length: 60 }, () => connect(endpoint)));
  const made = attempts.filter(({ status }) => status === 'fulfilled').map(({ value }) => value);
  for (const { reason } of attempts) assert.match(reason?.code ?? 'ERR_RSIPC_', /^(ERR_RSIPC_|E[A-Z]+$)/);
  assert.ok(made.length >= 1 && made.length <= 5, `${made.length}`);
  assert.deepStrictEqual(await client.request('seen'), { messages: [], kept: 0 }); // it has no time for others than these otherwise
  for (const one of made) one.destroy();
  const late = await connect(endpoint, { reconnect: { min: 5, max: 50 } });
  assert.deepStrictEqual(await late.request('seen'), { messages: [], kept: 0 });
  await late.close();
});
