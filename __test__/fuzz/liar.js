'use strict';
// A worker of a cluster that says hostile things: `RSIPC_FUZZ_SEED` says which.

const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const { random } = require('../kill/traffic.js');

const next = random(Number(process.env.RSIPC_FUZZ_SEED));
const CHANNEL = 3; // behind the standard streams
const STEPS = 150;

const pick = (list) => list[Math.floor(next() * list.length)];
const number = () => pick([0, -1, 1, 0.5, 2 ** 31, 2 ** 32, 2 ** 32 + 1 + Math.floor(next() * 50), 2 ** 53, 1e300, -1e300]);

function value(depth = 3) {
  const kind = Math.floor(next() * (depth > 0 ? 9 : 6));
  if (kind === 0) return number();
  if (kind === 1) return pick([null, true, false]);
  if (kind < 5) return pick(['', '127.0.0.1', '::1', 'udp4', 'udp6', 'NODE_CLUSTER', 'newconn', '\0', '/', '__proto__', 'x'.repeat(Math.floor(next() * 2_000))]);
  if (kind === 5) return `${number()}`;
  if (kind === 6) return Array.from({ length: Math.floor(next() * 4) }, () => value(depth - 1));
  return Object.fromEntries(Array.from({ length: Math.floor(next() * 4) }, () => [pick(['toString', 'valueOf', 'then', 'fd', 'length', 'constructor', 'a']), value(depth - 1)]));
}

const KEYS = ['127.0.0.1:0:4::0', '127.0.0.1:0:4::1', 'never:given'];

const MESSAGES = [
  () => ({ cmd: 'NODE_CLUSTER', act: 'queryServer', address: '127.0.0.1', port: 0, addressType: 4, fd: null, index: Math.floor(next() * 20), data: null, flags: 0, backlog: 16, seq: number() }),
  () => ({ cmd: 'NODE_CLUSTER', act: 'queryServer', address: '127.0.0.1', port: 0, addressType: 'udp4', fd: -1, index: 1, data: value(), flags: 0, seq: number() }),
  () => ({ cmd: 'NODE_CLUSTER', act: 'queryServer', address: `\0rsipc-fuzz-${Math.floor(next() * 3)}`, port: -1, addressType: -1, fd: -1, index: 1, seq: number() }),
  () => ({ cmd: 'NODE_CLUSTER', act: 'listening', address: value(), port: value(), addressType: value(), fd: value() }),
  () => ({ cmd: 'NODE_CLUSTER', act: pick(['online', 'exitedAfterDisconnect', 'close', 'listening', 'disconnect', 'newconn']), key: pick(KEYS), seq: number() }),
  () => ({ cmd: 'NODE_CLUSTER', ack: number(), accepted: pick([true, false]), seq: number() }),
  () => ({ cmd: 'NODE_RSIPC_CLUSTER', act: pick(['here', 'load', 'drained', 'listens', 'siblings', 'connect', 'cancel', 'drain']), load: number(), claims: pick([true, false]) }),
  () => ({ cmd: 'NODE_HANDLE_ACK' }),
  () => ({ cmd: 'NODE_HANDLE_NACK' }),
  () => value(),
];

function message() {
  const made = pick(MESSAGES)();
  if (made !== null && typeof made === 'object' && !Array.isArray(made) && next() < 0.4) made[pick(Object.keys(made)) ?? 'cmd'] = value();
  return made;
}

// The text of a message, a little damaged.
function bytes() {
  const text = Buffer.from(`${JSON.stringify(message())}\n`);
  for (let i = Math.floor(next() * 3); i > 0; i--) text[Math.floor(next() * text.length)] = Math.floor(next() * 256);
  return next() < 0.2 ? text.subarray(0, Math.floor(next() * text.length)) : text;
}

const quietly = (act) => {
  try {
    act();
  } catch {
    // The channel is gone, or full.
  }
};

const answers = pick(['once', 'once', 'twice', 'never', 'no']);
if (answers !== 'once') {
  const { _send } = process;
  process._send = function (said, ...rest) {
    if (said?.cmd !== 'NODE_CLUSTER' || said.ack === undefined) return Reflect.apply(_send, this, [said, ...rest]);
    if (answers === 'no') said.accepted = false;
    if (answers === 'twice') Reflect.apply(_send, this, [said, ...rest]);
    return answers === 'never' || Reflect.apply(_send, this, [said, ...rest]);
  };
}

const raw = next() < 0.5;
const server = http.createServer((request, response) => (next() < 0.1 ? undefined : response.end('lies'))).listen(0, '127.0.0.1', () => {
  let left = STEPS;
  const step = () => {
    for (let i = 0; i < 10 && left > 0; i++, left--) {
      const choice = next();
      quietly(() => {
        if (choice < 0.05) process.send(message(), pick([server, new net.Socket()]), () => {});
        else if (choice < 0.5 && raw) fs.writeSync(CHANNEL, bytes());
        else process.send(message() ?? 0, () => {});
      });
    }
    if (left > 0) setTimeout(step, 1);
    else if (next() < 0.5) process.exit(0);
    else quietly(() => process.disconnect());
  };
  step();
});
process.on('uncaughtException', () => {}); // of what it does to itself
