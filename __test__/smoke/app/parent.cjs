'use strict';
// Asks the installed package for what its README promises first: a fork that works.
//
//   node parent.cjs              takes fork from rsipc
//   node parent.cjs rsipc|node   takes it from child_process, which must be ours, or Node's own

const assert = require('node:assert/strict');
const net = require('node:net');
const path = require('node:path');
const { once } = require('node:events');

const expected = process.argv[2];
const childProcess = require(expected === undefined ? 'rsipc' : 'node:child_process');

async function roundTrip(serialization, message) {
  const child = childProcess.fork(path.join(__dirname, 'child.js'), ['an argument'], { serialization });
  assert.equal(child.connected, true);
  assert.equal(child.send(message), true);
  const [answer] = await once(child, 'message');
  assert.deepEqual(answer, { echo: message, argv: ['an argument'] });
  assert.deepEqual(await once(child, 'exit'), [0, null]);
  // What only our channel has tells whose it is. On Windows it is always Node's.
  const ours = expected !== 'node' && process.platform !== 'win32';
  assert.equal(typeof child.getOneMessage, ours ? 'function' : 'undefined');
}

async function handOver() {
  const child = childProcess.fork(path.join(__dirname, 'child.js'));
  const server = net.createServer((socket) => child.send('yours', socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = net.connect(server.address().port, '127.0.0.1').setEncoding('utf8');
  assert.deepEqual(await once(client, 'data'), ['from the child']);
  server.close();
  child.send({ last: true });
  assert.deepEqual(await once(child, 'exit'), [0, null]);
}

async function main() {
  await roundTrip('json', { text: 'ünï', list: [1, null, { deep: true }], last: true });
  await roundTrip('advanced', { map: new Map([['a', 1n]]), bytes: new Uint8Array([1, 2, 3]), last: true });
  if (process.platform !== 'win32') await handOver();
  console.log('works');
}

main();
