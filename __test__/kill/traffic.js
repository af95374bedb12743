'use strict';
// One child, everything at once, and SIGKILL at a random moment: `kill()` forks, talks and kills, and
// answers with what must hold afterwards. Every promise and callback is counted: settled once, and no more.

const { once } = require('node:events');
const net = require('node:net');
const path = require('node:path');
const rsipc = require('../../index.js');

const KINDS = ['plain', 'rsipc'];
const LARGE = 'L'.repeat(1_000_000);

// A small generator, so that a seed names a run.
function random(seed) {
  let word = seed >>> 0 || 1;
  return () => {
    word ^= word << 13;
    word ^= word >>> 17;
    word ^= word << 5;
    word >>>= 0;
    return word / 2 ** 32;
  };
}

// What was promised, and how often it was kept.
class Promised {
  made = 0;
  kept = 0;
  twice = 0;

  callback() {
    this.made++;
    let called = false;
    return () => {
      if (called) this.twice++;
      called = true;
      this.kept++;
    };
  }

  // A promise settles once by nature: what counts is that it does.
  add(promise) {
    const settled = this.callback();
    promise.then(settled, settled);
  }
}

// A server to give away, and one whose connections are given away, for all children of a run.
async function connections() {
  const server = net.createServer({ pauseOnConnect: true });
  // This one is given away whole: who has it accepts too, so nobody connects to it.
  const shared = net.createServer();
  for (const each of [server, shared]) await new Promise((resolve) => each.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  const waiting = new Map(); // who waits for the connection from this port
  const early = new Map();
  server.on('connection', (socket) => {
    socket.on('error', () => {});
    const resolve = waiting.get(socket.remotePort);
    waiting.delete(socket.remotePort);
    if (resolve) resolve(socket);
    else early.set(socket.remotePort, socket);
  });
  return {
    server: shared,
    // Resolves with a connection to hand over, and the other end of it.
    async pair() {
      const client = net.connect(port, '127.0.0.1');
      client.on('error', () => {});
      await once(client, 'connect');
      const { localPort } = client;
      const socket = early.get(localPort) ?? await new Promise((resolve) => waiting.set(localPort, resolve));
      early.delete(localPort);
      return { client, socket };
    },
    // Node's server never says 'close' once a process it shared sockets with has gone.
    close() {
      server.close();
      shared.close();
    },
  };
}

// Forks one child, floods it for up to `longest` ms, and kills it.
async function kill(shared, next, { longest = 120 } = {}) {
  const kind = KINDS[Math.floor(next() * KINDS.length)];
  const serialization = next() < 0.5 ? 'json' : 'advanced';
  const promised = new Promised();
  const ends = []; // of connections; one that could not be sent is still ours
  const seen = { exit: 0, disconnect: 0, close: 0, messages: 0, errors: [] };
  const child = rsipc.fork(path.join(__dirname, 'fixtures', `${kind}.js`), [], { serialization, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  for (const event of ['exit', 'disconnect', 'close']) child.on(event, () => seen[event]++);
  child.on('error', (error) => seen.errors.push(error.code ?? error.message));
  child.on('protocolError', (error) => {
    if (error.code !== 'ERR_RSIPC_TRUNCATED') seen.errors.push(error.code); // killed inside a message
  });
  child.on('message', (message, handle) => {
    seen.messages++;
    handle?.destroy?.();
    handle?.close?.();
  });
  child.onRequest((body) => body);
  child.setMaxListeners(0);
  const closed = new Promise((resolve) => child.once('close', resolve));

  let running = true;
  const talk = async () => {
    while (running && child.connected) {
      const choice = next();
      if (choice < 0.4) {
        for (let more = 0; more < 20; more++) child.send({ number: more, text: 'small' }, promised.callback());
      } else if (choice < 0.5) {
        child.send(LARGE, promised.callback());
      } else if (choice < 0.6) {
        child.send('server', shared.server, promised.callback());
      } else if (choice < 0.7) {
        const { client, socket } = await shared.pair();
        ends.push(client, socket);
        child.send('socket', socket, promised.callback());
      } else if (choice < 0.8) {
        promised.add(child.request({ question: 1 }));
      } else if (choice < 0.9) {
        promised.add(child.send('receipt', undefined, { receipt: true }));
        promised.add(child.getOneMessage());
      } else {
        promised.add(child.channel.ready());
      }
      if (next() < 0.5) await new Promise(setImmediate);
      // Nobody floods an end that has not started.
      if (seen.messages === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  // Some die while they start, most in the middle of a conversation.
  const strike = () => setTimeout(() => child.kill('SIGKILL'), next() * longest);
  if (next() < 0.3) strike();
  else child.once('message', strike);
  const talking = talk().catch((error) => seen.errors.push(error.code ?? error.message));
  await closed;
  running = false;
  await talking;
  for (const end of ends) end.destroy();
  return { kind, serialization, promised, seen, child };
}

module.exports = { kill, connections, random, Promised };
