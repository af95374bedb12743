'use strict';
// Handles of every kind: how to make one that can be probed from outside, and how a process that was
// given one shows that it works. Both ends of a channel use it.

const net = require('node:net');
const dgram = require('node:dgram');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const HOST = '127.0.0.1';
let counter = 0;

// A path for a UNIX socket in a directory that goes when the socket is done with.
function socketPath() {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), `rsipc-test-${process.pid}-`));
  return { path: path.join(directory, `s${++counter}`), remove: () => fs.rmSync(directory, { recursive: true, force: true }) };
}

const listening = (server, ...where) => new Promise((resolve, reject) => server.once('error', reject).listen(...where, () => resolve(server)));
const closed = (thing) => new Promise((resolve) => thing.close(resolve));

// All that the peer of `socket` says.
async function readAll(socket) {
  let text = '';
  socket.setEncoding('utf8');
  for await (const piece of socket) text += piece;
  return text;
}

// The libuv handle of a datagram socket.
function datagramWrap(socket) {
  const symbol = Object.getOwnPropertySymbols(socket).find((candidate) => candidate.description === 'state symbol');
  return socket[symbol].handle;
}

// A connection between two sockets of this process: `near` is accepted by `server`, `far` dialled.
async function connection(server, far) {
  const near = new Promise((resolve) => server.once('connection', resolve));
  await new Promise((resolve) => far.once('connect', resolve));
  return near;
}

async function acceptedSocket(where, dial) {
  const server = await listening(net.createServer({ pauseOnConnect: true }), ...where);
  const far = dial(server);
  const handle = await connection(server, far);
  return { server, far, handle };
}

async function streamServer(where, dial, wrap, remove) {
  const server = await listening(net.createServer((socket) => socket.end('by the giver')), ...where);
  return {
    handle: wrap ? server._handle : server,
    async probe() {
      // Ours is closed, so only the taker can answer.
      const far = () => readAll(dial(server));
      const address = server.address();
      server.address = () => address;
      const name = fs.existsSync(address) ? address : null;
      const kept = name === null ? null : `${name}.kept`;
      if (kept !== null) fs.linkSync(name, kept); // closing a server unlinks its path
      await closed(server);
      if (kept !== null) fs.renameSync(kept, name);
      return far();
    },
    done: remove,
  };
}

const MAKERS = {
  async 'net.Socket'() {
    const { server, far, handle } = await acceptedSocket([0, HOST], (made) => net.connect(made.address().port, HOST));
    return { handle, probe: () => readAll(far), done: () => closed(server) };
  },
  async 'net.Socket of a client'() {
    const { server, far, handle } = await acceptedSocket([0, HOST], (made) => net.connect(made.address().port, HOST));
    far.pause();
    return { handle: far, probe: () => readAll(handle), done: () => closed(server) };
  },
  async 'net.Socket on a UNIX socket'() {
    const at = socketPath();
    const { server, far, handle } = await acceptedSocket([at.path], () => net.connect(at.path));
    return { handle, probe: () => readAll(far), done: () => closed(server).then(at.remove) };
  },
  'net.Server': () => streamServer([0, HOST], (server) => net.connect(server.address().port, HOST)),
  'net.Server on a UNIX socket'() {
    const at = socketPath();
    return streamServer([at.path], () => net.connect(at.path), false, at.remove);
  },
  'net.Native': () => streamServer([0, HOST], (server) => net.connect(server.address().port, HOST), true),
  'net.Native on a UNIX socket'() {
    const at = socketPath();
    return streamServer([at.path], () => net.connect(at.path), true, at.remove);
  },
  'dgram.Socket': () => datagram('udp4', false),
  'dgram.Native': () => datagram('udp4', true),
};

async function datagram(type, wrap) {
  const socket = dgram.createSocket(type);
  await new Promise((resolve) => socket.bind(0, HOST, resolve));
  const { port } = socket.address();
  return {
    handle: wrap ? datagramWrap(socket) : socket,
    async probe() {
      await closed(socket);
      const far = dgram.createSocket(type);
      const answer = new Promise((resolve) => far.once('message', (message) => resolve(String(message))));
      far.send('probe', port, HOST);
      const text = await answer;
      await closed(far);
      return text;
    },
  };
}

// What the receiving process sees of a handle.
function describe(handle) {
  if (handle === undefined) return 'nothing';
  const facts = [handle.constructor.name];
  if (handle instanceof net.Socket) facts.push(`readable ${handle.readable}`, `writable ${handle.writable}`, `server ${handle.server === undefined || handle.server === null ? 'none' : 'some'}`);
  if (handle instanceof net.Server) facts.push(`listening ${handle.listening}`);
  if (handle instanceof dgram.Socket) facts.push(handle.type, `bound ${typeof handle.address().port}`);
  return facts.join(', ');
}

// Answers the first who comes to `handle`, then lets go of it.
async function take(handle) {
  if (handle instanceof net.Socket) {
    handle.end('by the taker');
    await new Promise((resolve) => handle.once('close', resolve).resume());
    return;
  }
  if (handle instanceof dgram.Socket) {
    await new Promise((resolve) => handle.once('message', (message, { port, address }) => handle.send(`by the taker: ${message}`, port, address, resolve)));
    await closed(handle);
    return;
  }
  if (handle.constructor.name === 'UDP') {
    const socket = dgram.createSocket('udp4');
    const bound = new Promise((resolve) => socket.once('listening', resolve));
    socket.bind(handle);
    await bound;
    await take(socket);
    return;
  }
  const server = handle instanceof net.Server ? handle : await listening(net.createServer(), handle);
  await new Promise((resolve) => server.once('connection', (socket) => take(socket).then(resolve)));
  await closed(server);
}

module.exports = { KINDS: Object.keys(MAKERS), make: (kind) => MAKERS[kind](), describe, take, listening, closed, readAll, connection, HOST, socketPath, datagramWrap };
