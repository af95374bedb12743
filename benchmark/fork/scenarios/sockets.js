'use strict';

// Accepted TCP sockets handed to the child per second. All connections stand before the clock runs;
// it stops when the child has counted and closed every one. The ports of the far ends, summed on
// both sides, prove that it was given the sockets that were sent.

const childProcess = require('node:child_process');
const { readdirSync } = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { verify } = require('../payload.js');
const { begin, end: endPlain, next, pin } = require('../peer.js');

const AHEAD = 512; // handles whose sending is not awaited yet, where it can be

async function sockets({ start, end, childCpu, total }) {
  const child = await start(['sockets', '64 B']);
  const clients = begin(childProcess.fork, path.join(__dirname, '..', 'clients.js'), []);
  pin(clients.pid, childCpu);
  const server = net.createServer({ pauseOnConnect: true });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

  await run(server, clients, child, Math.ceil(total / 5));
  const before = openDescriptors();
  const seconds = await run(server, clients, child, total);
  await copiesClosed(before);

  clients.send({ connect: 0 });
  await next(clients);
  // The server asks the child whether its sockets are closed; once the child is gone, Node's never says 'close'.
  await new Promise((resolve) => server.close(resolve));
  await Promise.all([endPlain(clients), end(child)]);
  return total / seconds;
}

async function run(server, clients, child, total) {
  const accepted = await connect(server, clients, total);
  const ports = accepted.reduce((sum, socket) => sum + socket.remotePort, 0);

  const from = performance.now();
  const answer = next(child);
  const window = [];
  for (let seq = 0; seq < total; seq++) {
    const sent = child.send({ seq }, accepted[seq]);
    if (typeof sent !== 'object') continue;
    // A connection takes so many handles ahead of their being taken, and says when one is.
    window.push(sent);
    if (window.length === AHEAD) await window.shift();
  }
  await Promise.all(window);
  child.send({ end: true });
  const report = await answer;
  const seconds = (performance.now() - from) / 1000;

  verify(report, total);
  if (report.ports !== ports) throw new Error('the child got other sockets than were sent');
  return seconds;
}

/** Has the clients make `total` connections, in place of those they have, and accepts them. */
async function connect(server, clients, total) {
  const accepted = [];
  const complete = new Promise((resolve) => {
    server.on('connection', function keep(socket) {
      accepted.push(socket);
      if (accepted.length < total) return;
      server.removeListener('connection', keep);
      resolve();
    });
  });
  const connected = next(clients);
  clients.send({ connect: total, port: server.address().port });
  await Promise.all([complete, connected]);
  return accepted;
}

/** How many descriptors this process holds; NaN where the system does not say. */
function openDescriptors() {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return NaN;
  }
}

/** Waits until the sender has closed its own copies: leaving them open would be cheating. */
async function copiesClosed(before) {
  const until = performance.now() + 2000;
  while (openDescriptors() > before) {
    if (performance.now() > until) throw new Error(`the sender still holds ${openDescriptors() - before} sockets it has given away`);
    await new Promise(setImmediate);
  }
}

module.exports = sockets;
