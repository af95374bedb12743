'use strict';
// send(…, { receipt: true }): a promise that settles when the other end's listener has taken the message.

const assert = require('node:assert');
const net = require('node:net');
const { test } = require('node:test');
const { leavesNothing, stopped } = require('../helpers/leavings.js');
const { listening, closed, connection, readAll, HOST } = require('../helpers/handles.js');
const { happened } = require('../helpers/wait.js');
const { withChild } = require('../helpers/with-child.js');

leavesNothing();

const { channelPair } = require('../../index.js');

const RECEIPT = { receipt: true };

test('a receipt resolves when a listener has taken the message', () => withChild(async (child) => {
  await child.request({ what: 'listen' });
  assert.strictEqual(await child.send({ n: 1 }, undefined, RECEIPT), undefined);
  assert.deepStrictEqual(await child.request({ what: 'heard' }), [[{ n: 1 }, 'plain', null]]);
}));

test('receipts and plain messages keep their order', () => withChild(async (child) => {
  await child.request({ what: 'listen' });
  await child.send(0, undefined, RECEIPT);
  const receipts = [];
  for (let i = 1; i < 20; i++) {
    if (i % 2 === 0) child.send(i);
    else receipts.push(child.send(i, undefined, RECEIPT));
  }
  await Promise.all(receipts);
  assert.deepStrictEqual((await child.request({ what: 'heard' })).map(([n]) => n), Array.from({ length: 20 }, (_, i) => i));
}));

test('a receipt waits for a listener that comes later', () => withChild(async (child) => {
  const receipt = child.send('early', undefined, RECEIPT);
  await child.request({ what: 'listen' });
  await receipt;
  assert.deepStrictEqual((await child.request({ what: 'heard' })).map(([text]) => text), ['early']);
}));

test('messages that wait for a listener keep their order, with a receipt or without', () => withChild(async (child) => {
  await child.request({ what: 'echo', value: 'hello' });
  const receipts = [];
  for (let i = 0; i < 30; i++) {
    if (i % 2 === 0) receipts.push(child.send(i, undefined, RECEIPT));
    else child.send(i);
  }
  await child.request({ what: 'listen' });
  await Promise.all(receipts);
  assert.deepStrictEqual((await child.request({ what: 'heard' })).map(([n]) => n), Array.from({ length: 30 }, (_, i) => i));
  assert.deepStrictEqual(await child.request({ what: 'warnings' }), []);
}));

test('a receipt comes when that very message was taken, not another', () => withChild(async (child) => {
  await child.request({ what: 'echo', value: 'hello' });
  child.send('plain');
  let taken = false;
  const receipt = child.send('with a receipt', undefined, RECEIPT).then(() => { taken = true; });
  const heard = [];
  for (const expected of [false, true]) {
    await child.request({ what: 'listenOnce' });
    heard.push(...await child.request({ what: 'heard' }));
    assert.strictEqual(taken, expected);
  }
  await receipt;
  assert.deepStrictEqual(heard, [['plain'], ['with a receipt']]);
}));

test('a message whose sender was told that nobody listened is not given to a later listener', () => withChild(async (child) => {
  await child.request({ what: 'echo', value: 'hello' });
  const refused = child.send('given up', undefined, { receipt: true, timeout: 50 });
  child.send('plain');
  await assert.rejects(refused, { code: 'ERR_RSIPC_NO_LISTENER' });
  await child.request({ what: 'listen' });
  await child.send('last', undefined, RECEIPT);
  assert.deepStrictEqual((await child.request({ what: 'heard' })).map(([text]) => text), ['plain', 'last']);
}));

test('a receipt rejects with NO_LISTENER when nobody listens in time', () => withChild(async (child) => {
  await child.request({ what: 'echo', value: 'hello' });
  await assert.rejects(child.send('unheard', undefined, { receipt: true, timeout: 50 }), { code: 'ERR_RSIPC_NO_LISTENER' });
}));

test('a receipt rejects with PEER_GONE when the child dies first', () => withChild(async (child) => {
  await child.request({ what: 'echo', value: 'hello' });
  const receipt = child.send('nobody takes this', undefined, RECEIPT);
  child.kill('SIGKILL');
  await assert.rejects(receipt, { code: 'ERR_RSIPC_PEER_GONE' });
  await assert.rejects(child.send('too late', undefined, RECEIPT), { code: 'ERR_RSIPC_PEER_GONE' });
}));

test('a receipt rejects with TIMEOUT when the child is stopped', () => withChild(async (child) => {
  await child.request({ what: 'listen' });
  child.kill('SIGSTOP');
  await stopped(child.pid);
  try {
    await assert.rejects(child.send('stuck', undefined, { receipt: true, timeout: 50 }), { code: 'ERR_RSIPC_TIMEOUT' });
  } finally {
    child.kill('SIGCONT');
  }
}));

test('a receipt can be aborted', () => withChild(async (child) => {
  await child.request({ what: 'echo', value: 'hello' });
  const controller = new AbortController();
  const receipt = child.send('x', undefined, { receipt: true, signal: controller.signal });
  controller.abort();
  await assert.rejects(receipt, { name: 'AbortError', code: 'ABORT_ERR' });
}));

test('a listener that throws has taken the message', () => withChild(async (child) => {
  await child.request({ what: 'listenAndThrow' });
  await child.send('x', undefined, RECEIPT);
}));

test('a receipt tells that a socket has been taken', () => withChild(async (child) => {
  await child.request({ what: 'listen' });
  const server = await listening(net.createServer({ pauseOnConnect: true }), 0, HOST);
  const far = net.connect(server.address().port, HOST);
  const near = await connection(server, far);
  await child.send('a socket', near, RECEIPT);
  assert.deepStrictEqual((await child.request({ what: 'heard' })).map(([text, kind]) => [text, kind]), [['a socket', 'Socket']]);
  assert.strictEqual(near._handle, null);
  far.destroy();
  child.disconnect();
  await closed(server);
}));

test('a plain child is a clear error, and no message is lost to it unseen', () => withChild(async (child) => {
  await assert.rejects(child.send('x', undefined, { receipt: true, timeout: 100 }), { code: 'ERR_RSIPC_PLAIN_PEER' });
}, { program: 'fork/echo', transport: 'socket' }));

test('a handle of a kind the child does not accept is HANDLE_REJECTED and closed', () => withChild(async (child) => {
  await child.request({ what: 'listen' });
  const server = await listening(net.createServer({ pauseOnConnect: true }), 0, HOST);
  const far = net.connect(server.address().port, HOST);
  const near = await connection(server, far);
  await assert.rejects(child.send('a socket', near, RECEIPT), { code: 'ERR_RSIPC_HANDLE_REJECTED' });
  assert.strictEqual(await readAll(far), '');
  assert.deepStrictEqual(await child.request({ what: 'heard' }), []);
  child.disconnect();
  await closed(server);
}, { program: 'fork/ours-few-descriptors', transport: 'auto' })); // it has none for shared memory either

test('arguments of send are checked with a receipt as without', () => withChild(async (child) => {
  await child.request({ what: 'listen' });
  await assert.rejects(async () => child.send(undefined, undefined, RECEIPT), { code: 'ERR_MISSING_ARGS' });
  await assert.rejects(async () => child.send('x', {}, RECEIPT), { code: 'ERR_INVALID_HANDLE_TYPE' });
  await assert.rejects(async () => child.send('x', undefined, { receipt: true, timeout: 'x' }), { code: 'ERR_INVALID_ARG_TYPE' });
}));

test('a listener that disconnects has taken its message, and so have those that came with it', async () => {
  for (const transport of ['socket', 'ring']) {
    const [here, there] = channelPair({ transport });
    const heard = [];
    there.on('message', (message) => {
      heard.push(message);
      if (message === 1) there.disconnect();
    });
    await here.send(0, undefined, RECEIPT);
    const gone = happened(here, 'disconnect');
    const receipts = [1, 2, 3].map((message) => here.send(message, undefined, RECEIPT));
    await Promise.all(receipts);
    assert.deepStrictEqual(heard, [0, 1, 2, 3]);
    await gone;
  }
});
