'use strict';
// request() and handle(): both ways, with errors carried, given up, and when the other end goes.

const { test } = require('node:test');
const assert = require('node:assert');
const { leavesNothing } = require('../helpers/leavings.js');
const { happened, until } = require('../helpers/wait.js');
const { pair } = require('./places.js');

leavesNothing();

const thrown = 'just text'; // and no Error

for (const codec of ['json', 'v8']) {
  test(`an error of a handler arrives with name, code, message and stack (${codec})`, async (t) => {
    const { server, client } = await pair(t, { codec });
    server.handle('fail', () => { throw Object.assign(new RangeError('no such thing'), { code: 'ENOTHING' }); });
    server.handle('failLater', async () => { throw thrown; });
    await assert.rejects(client.request('fail'), (error) => {
      assert.ok(error instanceof RangeError);
      assert.strictEqual(error.code, 'ENOTHING');
      assert.strictEqual(error.message, 'no such thing');
      assert.match(error.stack, /requests\.test\.js[^]*at the server at unix:/);
      return true;
    });
    await assert.rejects(client.request('failLater'), { code: 'ERR_RSIPC_REMOTE', message: /just text/ });
  });

  test(`a request without a handler says which one is missing (${codec})`, async (t) => {
    const { client } = await pair(t, { codec });
    await assert.rejects(client.request('nobody'), { code: 'ERR_RSIPC_NO_HANDLER', message: /'nobody'/ });
    for (const name of ['__proto__', 'constructor', 'toString', '']) await assert.rejects(client.request(name), { code: 'ERR_RSIPC_NO_HANDLER' });
  });

  test(`a request that is given up is cancelled over there (${codec})`, async (t) => {
    const { server, client } = await pair(t, { codec });
    const cancelled = [];
    server.handle('wait', (name, { signal }) => new Promise((resolve) => {
      signal.onabort = () => {
        cancelled.push(name);
        resolve();
      };
    }));
    await assert.rejects(client.request('wait', 'timeout', { timeout: 20 }), { code: 'ERR_RSIPC_TIMEOUT' });
    const controller = new AbortController();
    const asked = client.request('wait', 'signal', { signal: controller.signal });
    controller.abort();
    await assert.rejects(asked, { name: 'AbortError' });
    await until(() => cancelled.length === 2, 'both handlers heard of it');
    assert.deepStrictEqual(cancelled, ['timeout', 'signal']);
    await assert.rejects(client.request('wait', 'x', { signal: AbortSignal.abort() }), { name: 'AbortError' });
  });

  test(`a server asks its client (${codec})`, async (t) => {
    const { client, accepted } = await pair(t, { codec });
    client.handle('name', (body) => `client ${body}`);
    assert.strictEqual(await accepted.request('name', 7), 'client 7');
    client.handle('name', null);
    await assert.rejects(accepted.request('name', 7), { code: 'ERR_RSIPC_NO_HANDLER' });
  });

  test(`undefined and null are two answers (${codec})`, async (t) => {
    const { server, client } = await pair(t, { codec });
    server.handle('nothing', () => {}).handle('null', () => null).handle('body', (body) => body === undefined);
    assert.strictEqual(await client.request('nothing'), undefined);
    assert.strictEqual(await client.request('null'), null);
    assert.strictEqual(await client.request('body'), true);
  });
}

test('an answer that has no form in the codec is an error of the request', async (t) => {
  const { server, client } = await pair(t);
  server.handle('big', () => 1n).handle('fn', () => () => {});
  await assert.rejects(client.request('big'), TypeError);
  await assert.rejects(client.request('fn'), { code: 'ERR_RSIPC_NOT_SERIALIZABLE' });
  await assert.rejects(client.request('big', 1n), TypeError);
  assert.strictEqual(client.connected, true);
});

test('requests that wait when the server goes are told, and so are handlers when the client goes', async (t) => {
  const { server, client, accepted } = await pair(t);
  let asked = 0;
  let told = 0;
  server.handle('wait', (body, { signal }) => new Promise(() => {
    asked++;
    signal.onabort = () => told++;
  }));
  const waiting = client.request('wait');
  await until(() => asked === 1, 'the handler runs');
  accepted.destroy();
  await assert.rejects(waiting, { code: 'ERR_RSIPC_PEER_GONE' });
  assert.strictEqual(told, 1);
});

test('close() answers what was asked before it', async (t) => {
  const { server, client } = await pair(t);
  server.handle('slow', (body) => new Promise((resolve) => setTimeout(resolve, 50, body)));
  const answers = [1, 2, 3].map((body) => client.request('slow', body));
  await until(() => server.connections.size === 1, 'connected');
  await new Promise((resolve) => setTimeout(resolve, 10));
  const closed = happened(client, 'close');
  await server.close();
  assert.deepStrictEqual(await Promise.all(answers), [1, 2, 3]);
  await closed;
});

test('more requests than allowed are refused at once, on both sides', async (t) => {
  const { server, client } = await pair(t, { client: { maxRequests: 10 } });
  server.handle('wait', (body, { signal }) => new Promise((resolve) => { signal.onabort = resolve; }));
  const waiting = Array.from({ length: 10 }, () => client.request('wait', 0, { timeout: 200 }));
  await assert.rejects(client.request('wait'), { code: 'ERR_RSIPC_TOO_MANY_REQUESTS' });
  for (const one of waiting) await assert.rejects(one, { code: 'ERR_RSIPC_TIMEOUT' });
});

test('a name that is no text is refused where it stands', async (t) => {
  const { server, client } = await pair(t);
  for (const name of [undefined, 1, {}, Symbol.iterator]) {
    assert.throws(() => client.request(name), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(() => server.handle(name, () => {}), { code: 'ERR_INVALID_ARG_TYPE' });
  }
});

for (const codec of ['lsp', 'lines']) {
  test(`JSON-RPC 2.0 as other programs speak it (${codec})`, async (t) => {
    const { server, client, accepted } = await pair(t, { codec, jsonRpc: true });
    server.handle('add', ([a, b]) => a + b);
    server.handle('fail', () => { throw Object.assign(new Error('quota'), { code: -32_000, data: { left: 0 } }); });
    assert.strictEqual(await client.request('add', [1, 2]), 3);
    await assert.rejects(client.request('fail'), (error) => error.code === -32_000 && error.message === 'quota' && error.data.left === 0);
    await assert.rejects(client.request('none'), { code: -32_601 });
    const heard = happened(accepted, 'message');
    client.notify('initialized', { ok: true });
    assert.deepStrictEqual((await heard)[0], { jsonrpc: '2.0', method: 'initialized', params: { ok: true } });
  });
}
