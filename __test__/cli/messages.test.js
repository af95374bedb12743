'use strict';
// `rsipc send` and `rsipc tail`.

const assert = require('node:assert');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { test } = require('node:test');
const { leavesNothing } = require('../helpers/leavings.js');
const { start, rsipc: command, place } = require('../helpers/run.js');
const { rsipc } = require('../helpers/modules.js');
const { until } = require('../helpers/wait.js');

leavesNothing();

const at = (name) => `unix:${path.join(place, name)}`;

// Runs `use(server, heard)` with a server that has heard what its clients sent.
async function serving(name, options, use) {
  const server = await rsipc.serve(at(name), options);
  const heard = [];
  server.on('connection', (connection) => connection.on('message', (message) => heard.push(message)));
  server.handle('add', ({ a, b }) => a + b);
  server.handle('fail', () => { throw Object.assign(new Error('on purpose'), { code: 'E_TEST' }); });
  try {
    await use(server, heard);
  } finally {
    await server.close();
  }
}

test('send sends its words as messages, in order', () => serving('words', {}, async (server, heard) => {
  assert.deepStrictEqual(await command('send', at('words'), '{"a":[1]}', '"x"', '--', '-5', 'null'), { code: 0, signal: null, stdout: '', stderr: '' });
  assert.deepStrictEqual(heard, [{ a: [1] }, 'x', -5, null]);
}));

for (const codec of ['json', 'v8', 'lines', 'lsp']) {
  test(`send sends the lines of its input, and tail prints what comes (${codec})`, () => serving(codec, { codec, jsonRpc: false }, async (server, heard) => {
    const messages = Array.from({ length: 500 }, (_, i) => ({ i, text: 'ü'.repeat(i) }));
    const tail = start(['tail', at(codec), '--codec', codec, '--count', '500']);
    await until(() => server.connections.size === 1, 'tail to connect');
    const [reader] = server.connections;
    server.on('connection', (connection) => connection.on('message', (message) => reader.send(message)));
    const sent = await start(['send', at(codec), `--codec=${codec}`], { input: `${messages.map((message) => JSON.stringify(message)).join('\n\n')}\n` }).ended;
    assert.deepStrictEqual(sent, { code: 0, signal: null, stdout: '', stderr: '' });
    assert.deepStrictEqual(heard, messages);
    const { code, stdout, stderr } = await tail.ended;
    assert.deepStrictEqual([code, stderr], [0, '']);
    assert.deepStrictEqual(stdout.split('\n').slice(0, -1).map((line) => JSON.parse(line)), messages);
  }));
}

test('raw messages are the bytes of their text, and what is no text is printed as base64', () => serving('raw', { codec: 'raw' }, async (server, heard) => {
  await command('send', at('raw'), 'not JSON ü', '-c', 'raw');
  assert.deepStrictEqual(heard, [Buffer.from('not JSON ü')]);
  server.on('connection', (connection) => {
    connection.send(Buffer.from('ü'));
    connection.send(Buffer.from([0xff, 0]));
  });
  assert.strictEqual((await command('tail', at('raw'), '-c', 'raw', '-n', '2')).stdout, '"ü"\n{"base64":"/wA="}\n');
}));

test('what JSON has no form for is printed as near to it as can be', () => serving('v8-values', { codec: 'v8' }, async (server) => {
  server.on('connection', (connection) => {
    for (const message of [10n ** 20n, new Map([['a', new Set([1n])]]), undefined]) connection.send({ message });
  });
  assert.strictEqual((await command('tail', at('v8-values'), '-c', 'v8', '-n', '3')).stdout, '{"message":"100000000000000000000"}\n{"message":[["a",["1"]]]}\n{}\n');
}));

test('send --request prints the answers, or why there is none', () => serving('requests', {}, async () => {
  assert.deepStrictEqual(await command('send', at('requests'), '--request', 'add', '{"a":1,"b":2}', '{"a":3,"b":4}'), { code: 0, signal: null, stdout: '3\n7\n', stderr: '' });
  const failed = await command('send', at('requests'), '-r', 'fail', '1');
  assert.deepStrictEqual([failed.code, failed.stdout, failed.stderr], [1, '', 'rsipc: on purpose (E_TEST)\n']);
  assert.match((await command('send', at('requests'), '-r', 'none', '1')).stderr, /ERR_RSIPC_NO_HANDLER/);
}));

test('with codec lines and lsp a request is JSON-RPC', async () => {
  for (const codec of ['lines', 'lsp']) {
    await serving(`rpc-${codec}`, { codec, jsonRpc: true }, async () => {
      assert.strictEqual((await command('send', at(`rpc-${codec}`), '-c', codec, '-r', 'add', '{"a":1,"b":2}')).stdout, '3\n');
    });
  }
});

test('tail ends with its server, and with --reconnect it waits for the next one', async () => {
  const waiting = start(['tail', at('again'), '--reconnect', '-n', '2']);
  let plain;
  for (const message of [1, 2]) {
    await serving('again', {}, async (server) => {
      if (message === 1) plain = start(['tail', at('again')]);
      await until(() => server.connections.size === (message === 1 ? 2 : 1), 'the clients');
      server.broadcast(message);
      if (message === 1) await plain.says(/^1$/m);
      await waiting.says(new RegExp(`^${message}$`, 'm'));
    });
  }
  assert.deepStrictEqual(await plain.ended, { code: 0, signal: null, stdout: '1\n', stderr: '' });
  assert.deepStrictEqual(await waiting.ended, { code: 0, signal: null, stdout: '1\n2\n', stderr: '' });
});

test('tail --listen prints what clients send, and gives the name back at a signal', async () => {
  const tail = start(['tail', '--listen', 'tcp://127.0.0.1:0', '--codec', 'lines']);
  const [, port] = await tail.says(/listening on tcp:\/\/127\.0\.0\.1:(\d+)\n/);
  net.connect(Number(port), '127.0.0.1').end('{"from":"a program"}\n');
  await tail.says(/^\{"from":"a program"\}$/m);
  net.connect(Number(port), '127.0.0.1').end('no JSON\n');
  await tail.says(/ERR_RSIPC_MALFORMED_FRAME/);
  tail.child.kill('SIGINT');
  assert.strictEqual((await tail.ended).code, 0);

  const file = path.join(place, 'listen');
  const other = start(['tail', '-l', `unix:${file}`, '-n', '1']);
  await other.says(/listening/);
  assert.strictEqual((await command('send', `unix:${file}`, '1')).code, 0);
  assert.deepStrictEqual([(await other.ended).stdout, fs.existsSync(file)], ['1\n', false]);
});

test('with a topic, send publishes on a bus and tail prints what is published', async () => {
  const bus = await rsipc.openBus(at('bus'));
  try {
    await bus.publish('orders.last', 'kept', { retain: true });
    const tail = start(['tail', at('bus'), '--topic', 'orders.*', '--count', '3']);
    await tail.says(/kept/);
    assert.deepStrictEqual(await command('send', at('bus'), '--topic', 'orders.new', '{"item":"tea"}', '2'), { code: 0, signal: null, stdout: '', stderr: '' });
    assert.deepStrictEqual(await tail.ended, {
      code: 0, signal: null, stdout: '{"topic":"orders.last","message":"kept"}\n{"topic":"orders.new","message":{"item":"tea"}}\n{"topic":"orders.new","message":2}\n', stderr: '' });
    const other = start(['tail', at('bus'), '--topic', '**']);
    await other.says(/kept/);
    other.child.kill('SIGTERM');
    assert.strictEqual((await other.ended).code, 0);
  } finally {
    await bus.close();
  }
});

test('a reader that goes ends tail', () => serving('reader', {}, async (server) => {
  const tail = start([], { command: ['sh', '-c', `"${process.execPath}" "$0" tail "${at('reader')}" | head -n 1`, path.resolve(__dirname, '../../bin/rsipc.js')] });
  await until(() => server.connections.size === 1, 'tail to connect');
  const timer = setInterval(() => server.broadcast('x'), 5);
  assert.strictEqual((await tail.ended).stdout, '"x"\n');
  clearInterval(timer);
}));

test('nothing is sent when a word is no JSON, and what came before a line that is none is', () => serving('broken', {}, async (server, heard) => {
  const words = await command('send', at('broken'), '1', 'two');
  assert.deepStrictEqual([words.code, words.stderr], [1, 'rsipc: message 2 is not JSON: two; a string needs quotes, \'"like this"\'\n']);
  assert.deepStrictEqual(heard, []);
  const lines = await start(['send', at('broken')], { input: '1\ntwo\n3\n' }).ended;
  assert.deepStrictEqual([lines.code, lines.stderr.split(';')[0]], [1, 'rsipc: line 2 of the input is not JSON: two']);
  assert.deepStrictEqual(heard, [1]);
}));

test('wrong usage, and a server that is not there, are told', async () => {
  for (const [args, why] of [
    [['send'], 'name an endpoint'],
    [['tail'], 'name an endpoint'],
    [['tail', 'rsipc:a', 'rsipc:b'], 'name one, not 2'],
    [['tail', 'rsipc:a', '--count', '0'], '--count is a whole number from 1 on, not 0'],
    [['send', 'rsipc:a', '1', '--codec', 'xml'], '--codec is one of json, v8, raw, lines, lsp, not xml'],
    [['send', 'rsipc:a', '--timeout', 'soon', '1'], '--timeout is a time like 500ms, 10s or 2m, not soon'],
    [['tail', 'rsipc:a', '--topic', 'x', '--listen'], '--topic is for a bus, and --listen is not'],
    [['send', 'rsipc:a', '-5'], 'there is no option -5; a message that begins with a dash stands behind --'],
  ]) {
    const { code, stdout, stderr } = await command(...args);
    assert.deepStrictEqual([code, stdout, stderr.split('\n')[0]], [2, '', `rsipc: ${why}`]);
  }
  for (const args of [['send', at('nobody'), '1'], ['tail', at('nobody')]]) {
    const { code, stderr } = await command(...args);
    assert.strictEqual(code, 1);
    assert.match(stderr, /ENOENT/);
  }
  assert.match((await command('send', 'nonsense', '1')).stderr, /ERR_RSIPC_INVALID_ENDPOINT/);
});
