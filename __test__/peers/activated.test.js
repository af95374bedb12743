'use strict';
// Sockets of packets that a service manager has opened (`LISTEN_FDS`): started by systemd's own program, and by a shell
// that says what nobody should.

const assert = require('node:assert/strict');
const { spawn, spawnSync } = require('node:child_process');
const dgram = require('node:dgram');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, text, until } = require('../helpers/wait.js');
const { directory } = require('../endpoint/places.js');
const { needed } = require('./needed.js');
const { connect } = require('../../index.js');

leavesNothing();

const FIXTURE = path.join(__dirname, '../fixtures/peers/activated-packets.js');
const systemd = needed('systemd-socket-activate');

// systemd's program, which becomes the server when the first packet, or connection, is there.
function activate(t, listen, kind, name, codec, log = '') {
  const named = name === 'systemd:' ? [] : [`--fdname=${name.slice('systemd:'.length)}`];
  const child = spawn('systemd-socket-activate', [`--listen=${listen}`, `--${kind}`, ...named, process.execPath, FIXTURE, name, codec, log], { stdio: ['ignore', 'ignore', 'pipe'] });
  child.said = '';
  child.stderr.setEncoding('utf8').on('data', (piece) => {
    child.said += piece;
  });
  const ended = once(child, 'exit');
  t.after(() => child.kill('SIGKILL'));
  return { child, pid: child.pid, ended: async () => assert.deepEqual(await ended, [0, null], child.said) };
}

// A datagram of a program that does not ask who sends.
const say = (file, message) => assert.equal(spawnSync('python3', ['-c', 'import socket, sys\ns = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(sys.argv[1]); s.send(sys.argv[2].encode())', file, JSON.stringify(message)]).status, 0);

// The lines of a file.
const linesOf = (file) => (fs.existsSync(file) ? fs.readFileSync(file, 'utf8').split('\n').filter((line) => line !== '').map((line) => JSON.parse(line)) : []);

for (const name of ['systemd:', 'systemd:app']) {
  test(`the first datagram starts a server at ${name}, which gets it and all others`, systemd, async (t) => {
    const file = path.join(directory(t), 's');
    const { pid, ended } = activate(t, file, 'datagram', name, 'json');
    const client = await connect(`unix+dgram:${file}`, { reconnect: { min: 5, max: 20 } });
    t.after(() => client.destroy());
    for (const message of ['first', 'second', 'stop']) {
      client.send(message);
      assert.deepEqual(await once(client, 'message'), [{ message, pid, uid: process.getuid(), address: name, refused: 0 }]);
    }
    await ended();
    assert.equal(fs.existsSync(file), true); // it is the service manager's
  });
}

// By whom a datagram was sent before the server was there nobody has asked: the file says who could.
for (const [what, mode, heard] of [['taken', 0o600, ['early', 'late']], ['dropped', 0o666, ['late']]]) {
  test(`a datagram that does not say by whom it is is ${what} at a socket with mode ${mode.toString(8)}`, systemd, async (t) => {
    const place = directory(t);
    const [file, log] = [path.join(place, 's'), path.join(place, 'log')];
    const { ended } = activate(t, file, 'datagram', 'systemd:', 'json', log);
    await until(() => fs.existsSync(file), 'the socket');
    fs.chmodSync(file, mode);
    say(file, 'early');
    await until(() => fs.existsSync(`${log}.listens`), 'the server');
    say(file, 'late');
    await until(() => linesOf(log).length === heard.length, 'them to be heard');
    assert.deepEqual(linesOf(log).map(({ message }) => message), heard);
    assert.equal(linesOf(log).at(-1).uid, process.getuid());
    if (mode === 0o600) assert.equal(linesOf(log)[0].uid, null);
    assert.equal(linesOf(log).at(-1).refused, 2 - heard.length);
    say(file, 'stop');
    await ended();
  });
}

test('the first record starts a server of unix+seqpacket:', systemd, async (t) => {
  const file = path.join(directory(t), 's');
  const { pid, ended } = activate(t, file, 'seqpacket', 'systemd:', 'lines');
  const client = await connect(`unix+seqpacket:${file}`, { codec: 'lines', reconnect: { min: 5, max: 20 } });
  client.send('first');
  assert.deepEqual(await once(client, 'message'), [{ message: 'first', pid, uid: process.getuid(), address: 'systemd:', refused: 0 }]);
  client.send('stop');
  await ended();
  await client.close();
});

// A port that nobody has.
async function freePort() {
  const socket = dgram.createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}

test('the first datagram of a network starts a server of udp:', systemd, async (t) => {
  const port = await freePort(); // systemd's program takes no 0
  const { child, pid, ended } = activate(t, `127.0.0.1:${port}`, 'datagram', 'systemd:app', 'json');
  await until(() => child.said.includes('Listening'), 'the socket');
  const client = await connect(`udp://127.0.0.1:${port}`);
  t.after(() => client.destroy());
  for (const message of ['first', 'stop']) {
    client.send(message);
    assert.deepEqual(await once(client, 'message'), [{ message, pid, uid: null, address: 'systemd:app', refused: 0 }]);
  }
  await ended();
});

// ---- what nobody should say ----

const WRONG = [
  ['a count that is no number', { LISTEN_FDS: 'x' }],
  ['a count below nothing', { LISTEN_FDS: '-1' }],
  ['no count', {}],
  ['another process', { LISTEN_PID: '1', LISTEN_FDS: '1' }],
  ['a process that is no number', { LISTEN_PID: 'x', LISTEN_FDS: '1' }],
  ['a descriptor that is none, or no socket', { LISTEN_FDS: '1' }],
  ['names that fit nothing', { LISTEN_FDS: '1', LISTEN_FDNAMES: '::a' }],
  ['a count beyond all', { LISTEN_FDS: '2147483647' }],
];

for (const [what, open] of [['a file', '3</dev/null'], ['closed', '3<&-']]) {
  test(`with descriptor 3 ${what}, whatever the variables say, there is no socket, which is an error with a code and harms nobody`, async () => {
    const code = `
      const { serve, connect } = require(${JSON.stringify(require.resolve('../../index.js'))});
      (async () => {
        for (const [what, variables] of ${JSON.stringify(WRONG)}) {
          for (const name of ['LISTEN_FDS', 'LISTEN_FDNAMES']) delete process.env[name];
          Object.assign(process.env, { LISTEN_PID: String(process.pid) }, variables);
          const codes = [];
          for (const end of [serve, connect]) await end('systemd:').catch((error) => codes.push(error.code));
          console.log(what + ': ' + codes);
        }
      })();`;
    const child = spawn('sh', ['-c', `exec "$0" -e "$1" ${open}`, process.execPath, code], { stdio: ['ignore', 'pipe', 'inherit'] });
    assert.deepEqual((await text(child.stdout)).trim().split('\n'), WRONG.map(([which]) => `${which}: ERR_RSIPC_NOT_ACTIVATED,ERR_RSIPC_UNSUPPORTED`));
  });
}

test('a child of an activated server has none of its sockets, and is not taken for activated', systemd, async (t) => {
  const file = path.join(directory(t), 's');
  const code = `
    const { spawnSync } = require('node:child_process');
    const { serve } = require(${JSON.stringify(require.resolve('../../index.js'))});
    serve('systemd:').then(async (server) => {
      const { stdout } = spawnSync('ls', ['/proc/self/fd'], { encoding: 'utf8' });
      process.stderr.write('open: ' + stdout.split('\\n').join(' ') + '\\n');
      const inner = 'require(' + JSON.stringify(${JSON.stringify(require.resolve('../../index.js'))}) + ').serve("systemd:").catch((error) => console.log(error.code))';
      process.stderr.write(spawnSync(process.execPath, ['-e', inner], { encoding: 'utf8' }).stdout);
      await server.close();
    });`;
  const child = spawn('systemd-socket-activate', [`--listen=${file}`, '--datagram', process.execPath, '-e', code], { stdio: ['ignore', 'ignore', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  const said = text(child.stderr);
  await until(() => fs.existsSync(file), 'the socket');
  const client = await connect(`unix+dgram:${file}`);
  t.after(() => client.destroy());
  client.send('wake');
  await happened(child, 'exit');
  assert.match(await said, /open: 0 1 2 3 \nERR_RSIPC_NOT_ACTIVATED\n/); // 3 is the directory that it reads
});

