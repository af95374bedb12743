'use strict';
// What peers, listeners and the file system may do to a program on rsipc/node-ipc.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { test } = require('node:test');
const { IPC } = require('rsipc/node-ipc');
const { leavesNothing, temporary } = require('../helpers/leavings.js');
const { happened, within, until } = require('../helpers/wait.js');

leavesNothing();

const folder = temporary();
let sockets = 0;

// Runs `use(server, socket)` with a server that has started and a plain connection to it.
async function serving(config, use, stop = (server) => server.stop()) {
  const ipc = new IPC();
  Object.assign(ipc.config, { silent: true, ...config });
  const file = path.join(folder, `s${++sockets}`);
  ipc.serve(file);
  const { server } = ipc;
  const errors = [];
  server.on('error', (error) => errors.push(error));
  server.start();
  await within(new Promise((resolve) => { server.on('start', resolve); }), 'the server starts');
  const socket = net.connect(file);
  socket.on('error', () => {});
  await happened(socket, 'connect');
  try {
    await use(server, socket, errors);
  } finally {
    socket.destroy();
    for (const other of [...server.sockets]) other.destroy();
    await new Promise((resolve) => {
      server.server.on('close', resolve);
      stop(server);
    });
  }
}

test('messages may be split at every byte', () => serving({}, async (server, socket) => {
  const got = [];
  server.on('split', (data) => got.push(data));
  const bytes = Buffer.from('{"type":"split","data":"é€😀"}\f{"type":"split","data":2}\f');
  for (const byte of bytes) {
    socket.write(Buffer.of(byte));
    await new Promise(setImmediate);
  }
  await until(() => got.length === 2, 'both are here');
  assert.deepEqual(got, ['é€😀', 2]);
}));

test('a delimiter of several characters may be split too', () => serving({ delimiter: '\r\n--\r\n' }, async (server, socket) => {
  const got = [];
  server.on('split', (data) => got.push(data));
  const bytes = Buffer.from('{"type":"split","data":1}\r\n--\r\n{"type":"split","data":2}\r\n--\r\n');
  for (const byte of bytes) {
    socket.write(Buffer.of(byte));
    await new Promise(setImmediate);
  }
  await until(() => got.length === 2, 'both are here');
  assert.deepEqual(got, [1, 2]);
}));

test('a message longer than maxMessageSize ends the connection, and the server serves on', () => serving({ maxMessageSize: 1_000 }, async (server, socket, errors) => {
  socket.write('x'.repeat(5_000));
  await happened(socket, 'close');
  await until(() => errors.length > 0, 'the error');
  assert.equal(errors[0].code, 'ERR_RSIPC_MESSAGE_TOO_LARGE');
  const other = net.connect(server.path);
  const got = new Promise((resolve) => { server.on('still', resolve); });
  other.write('{"type":"still","data":"here"}\f');
  assert.equal(await within(got, 'the message'), 'here');
  other.destroy();
}));

test('a message that stays incomplete ends the connection', () => serving({ frameTimeout: 50 }, async (server, socket, errors) => {
  socket.write('{"type":"slow');
  await happened(socket, 'close');
  await until(() => errors.length > 0, 'the error');
  assert.equal(errors[0].code, 'ERR_RSIPC_FRAME_TIMEOUT');
}));

test('what is no message is an error event with its text, as in node-ipc', () => serving({}, async (server, socket, errors) => {
  socket.write('nonsense\f5\f{"type":"fine","data":1}\f');
  const got = new Promise((resolve) => { server.on('fine', resolve); });
  assert.equal(await within(got, 'the message behind it'), 1);
  assert.deepEqual(errors.map(({ message, response }) => [message, response]).slice(0, 1), [['Invalid JSON response format', 'nonsense']]);
}));

test('a peer cannot cause the events that this end causes', () => serving({}, async (server, socket, errors) => {
  const caused = [];
  for (const type of ['connect', 'disconnect', 'destroy', 'start', 'close', 'socket.disconnected']) {
    server.on(type, () => caused.push(type));
    socket.write(`{"type":"${type}","data":{}}\f`);
  }
  const got = new Promise((resolve) => { server.on('fine', resolve); });
  socket.write('{"type":"fine","data":1}\f');
  await within(got, 'the message behind them');
  assert.deepEqual(caused, []);
  assert.deepEqual(errors.map(({ code }) => code), Array(6).fill('ERR_RSIPC_RESERVED_EVENT'));
}));

test('types named as members of Object.prototype are types like others', () => serving({}, async (server, socket) => {
  const got = [];
  for (const type of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
    socket.write(`{"type":"${type}","data":"${type}"}\f`);
    server.on(type, (data) => got.push(data));
  }
  await until(() => got.length === 4, 'all are here');
  assert.deepEqual(got, ['__proto__', 'constructor', 'toString', 'hasOwnProperty']);
  assert.equal({}.polluted, undefined);
}));

test('a listener that throws does not cost the messages behind it', () => serving({}, async (server, socket) => {
  const got = [];
  const thrown = [];
  const before = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => thrown.push(error.message));
  try {
    server.on('bad', (n) => {
      got.push(n);
      throw new Error(`number ${n}`);
    });
    socket.write('{"type":"bad","data":1}\f{"type":"bad","data":2}\f');
    await until(() => thrown.length === 2, 'both errors');
  } finally {
    process.removeAllListeners('uncaughtException');
    for (const listener of before) process.on('uncaughtException', listener);
  }
  assert.deepEqual(got, [1, 2]);
  assert.deepEqual(thrown, ['number 1', 'number 2']);
}));

test('a listener that closes the connection hears no more of it', () => serving({}, async (server, socket) => {
  const got = [];
  server.on('last', (n, client) => {
    got.push(n);
    client.destroy();
  });
  socket.write('{"type":"last","data":1}\f{"type":"last","data":2}\f');
  await happened(socket, 'close');
  assert.deepEqual(got, [1]);
}));

test('the socket of a server that lives is not taken away from it', () => serving({}, async (server) => {
  const ipc = new IPC();
  ipc.config.silent = true;
  ipc.serve(server.path);
  const failed = new Promise((resolve) => { ipc.server.on('error', resolve); });
  ipc.server.start();
  const error = await within(failed, 'the error');
  assert.equal(error.code, 'EADDRINUSE');
  assert.equal(error.address, server.path);
  const socket = net.connect(server.path);
  await happened(socket, 'connect');
  socket.destroy();
}));

test('the socket that a killed server has left is used again', async () => {
  const file = path.join(folder, 'stale');
  const { spawn } = require('node:child_process');
  const child = spawn(process.execPath, ['-e', "require('net').createServer().listen(process.argv[1], () => console.log('up'))", file], { stdio: ['ignore', 'pipe', 'inherit'] });
  await happened(child.stdout, 'data');
  child.kill('SIGKILL');
  await happened(child, 'close');
  assert.equal(fs.statSync(file).isSocket(), true);
  const ipc = new IPC();
  ipc.config.silent = true;
  ipc.serve(file);
  ipc.server.start();
  await within(new Promise((resolve, reject) => {
    ipc.server.on('start', resolve);
    ipc.server.on('error', reject);
  }), 'the server starts');
  await new Promise((resolve) => {
    ipc.server.server.on('close', resolve);
    ipc.server.stop();
  });
});

test('a socket\'s file is its user\'s alone unless config says otherwise, and goes when the server stops', async () => {
  for (const [config, mode] of [[{}, 0o600], [{ readableAll: true, writableAll: true }, 0o666]]) {
    await serving(config, (server, socket) => new Promise((resolve) => {
      assert.equal(fs.statSync(server.path).mode & 0o777, mode);
      server.stop();
      assert.equal(fs.existsSync(server.path), false); // not when the last client has gone
      socket.on('close', resolve).destroy();
    }), () => {});
  }
  assert.deepEqual(fs.readdirSync(folder), []);
});

test('a file that is no socket is left alone', async () => {
  const file = path.join(folder, 'precious');
  fs.writeFileSync(file, 'data');
  const ipc = new IPC();
  ipc.config.silent = true;
  ipc.serve(file);
  const failed = new Promise((resolve) => { ipc.server.on('error', resolve); });
  ipc.server.start();
  assert.equal((await within(failed, 'the error')).code, 'EADDRINUSE');
  assert.equal(fs.readFileSync(file, 'utf8'), 'data');
  fs.unlinkSync(file);
});

test('a client that is told to stop connects no more', async () => {
  const ipc = new IPC();
  Object.assign(ipc.config, { silent: true, retry: 1, maxRetries: 2 });
  const events = [];
  ipc.connectTo('nobody', path.join(folder, 'nobody'));
  for (const type of ['error', 'disconnect', 'destroy']) ipc.of.nobody.on(type, () => events.push(type));
  await within(new Promise((resolve) => { ipc.of.nobody.on('destroy', resolve); }), 'the client gives up');
  assert.deepEqual(events, ['error', 'disconnect', 'error', 'disconnect', 'error', 'disconnect', 'destroy']);
});

test('a TLS server without a key says so', async () => {
  const ipc = new IPC();
  Object.assign(ipc.config, { silent: true, tls: {} });
  ipc.serveNet('127.0.0.1', 1);
  const failed = new Promise((resolve) => { ipc.server.on('error', resolve); });
  ipc.server.start();
  assert.equal((await within(failed, 'the error')).code, 'ERR_RSIPC_TLS_KEY');
});

test('a peer\'s event \'*\' is told as any other to those who hear everything, and once', () => serving({}, async (server, socket) => {
  const heard = [];
  server.on('*', (type, data) => heard.push([type, data]));
  socket.write('{"type":"*","data":1}\f{"type":"plain","data":2}\f');
  await until(() => heard.some(([type]) => type === 'plain'), 'both are here');
  assert.deepEqual(heard.filter(([type]) => type !== 'connect'), [['*', 1], ['plain', 2]]);
}));
