'use strict';
// Broken or hostile bytes are an event with a code, never a crash, and the policy decides what follows.

const assert = require('node:assert');
const { test } = require('node:test');
const v8 = require('node:v8');
const { beyond } = require('../helpers/parity.js');
const { rsipc } = require('../helpers/modules.js');
const { leavesNothing } = require('../helpers/leavings.js');
const { rawWriter } = require('../helpers/raw.js');
const { happened, barrier } = require('../helpers/wait.js');

leavesNothing();

const lines = (...all) => all.map((line) => `${line}\n`).join('');
const nested = (levels) => '['.repeat(levels) + ']'.repeat(levels);

function frame(payload) {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(payload.length);
  return Buffer.concat([head, payload]);
}

// Everything the parent sees of a child that writes `pieces`.
async function seen(scene, then, pieces, options) {
  const child = rawWriter(scene, then, pieces, options);
  const log = [];
  child.on('message', (message) => log.push(['message', message]));
  child.on('protocolError', (error) => {
    assert.ok(error instanceof Error);
    assert.match(error.message, /the child \(pid \d+\)/);
    log.push(['protocolError', error.code]);
  });
  child.on('disconnect', () => log.push(['disconnect']));
  const exited = happened(child, 'exit');
  await happened(child, 'disconnect');
  const [code, signal] = await exited;
  return { log, code, signal };
}

const REST = lines('"later"');

beyond('a line that is not JSON ends the channel behind the messages before it', async (scene) => {
  const { log } = await seen(scene, 'stay', [lines('1', '{"a":', '2')]);
  assert.deepStrictEqual(log, [['message', 1], ['protocolError', 'ERR_RSIPC_MALFORMED_FRAME'], ['disconnect']]);
}, { child: 'plain' });

beyond('with drop, only the broken message is lost', async (scene) => {
  const { log } = await seen(scene, 'end', [lines('1', 'nonsense', '', '2')], { onProtocolError: 'drop' });
  assert.deepStrictEqual(log, [['message', 1], ['protocolError', 'ERR_RSIPC_MALFORMED_FRAME'], ['protocolError', 'ERR_RSIPC_MALFORMED_FRAME'], ['message', 2], ['disconnect']]);
}, { child: 'plain' });

beyond('with kill, the child is killed', async (scene) => {
  const { log, signal } = await seen(scene, 'stay', [lines('nonsense')], { onProtocolError: 'kill' });
  assert.deepStrictEqual(log, [['protocolError', 'ERR_RSIPC_MALFORMED_FRAME'], ['disconnect']]);
  assert.strictEqual(signal, 'SIGKILL');
}, { child: 'plain' });

beyond('without a protocolError listener it is a process warning', async (scene) => {
  const warned = happened(process, 'warning');
  const child = rawWriter(scene, 'end', [lines('nonsense')], { onProtocolError: 'drop' });
  const [warning] = await warned;
  assert.strictEqual(warning.code, 'ERR_RSIPC_MALFORMED_FRAME');
  await scene.ended(child);
}, { child: 'plain' });

beyond('with drop, a flood of errors is one warning of each kind', async (scene) => {
  const warnings = [];
  const onWarning = ({ code }) => warnings.push(code);
  process.on('warning', onWarning);
  const child = rawWriter(scene, 'end', [lines(...Array(500).fill('nonsense'), JSON.stringify('x'.repeat(5_000)), ...Array(500).fill('nonsense'))], { maxMessageSize: 4_096, onProtocolError: 'drop' });
  await happened(child, 'disconnect');
  await barrier();
  process.removeListener('warning', onWarning);
  assert.deepStrictEqual(warnings, ['ERR_RSIPC_MALFORMED_FRAME', 'ERR_RSIPC_MESSAGE_TOO_LARGE']);
  await scene.ended(child);
}, { child: 'plain' });

beyond('a message above maxMessageSize is refused', async (scene) => {
  const { log } = await seen(scene, 'stay', [lines('"small"', JSON.stringify('x'.repeat(5_000))), REST], { maxMessageSize: 4_096 });
  assert.deepStrictEqual(log, [['message', 'small'], ['protocolError', 'ERR_RSIPC_MESSAGE_TOO_LARGE'], ['disconnect']]);
}, { child: 'plain' });

beyond('with drop, the messages behind one that is too large arrive', async (scene) => {
  const { log } = await seen(scene, 'end', [lines(JSON.stringify('x'.repeat(90_000))), REST], { maxMessageSize: 4_096, onProtocolError: 'drop' });
  assert.deepStrictEqual(log, [['protocolError', 'ERR_RSIPC_MESSAGE_TOO_LARGE'], ['message', 'later'], ['disconnect']]);
}, { child: 'plain' });

beyond('a message of exactly maxMessageSize arrives', async (scene) => {
  const text = JSON.stringify('x'.repeat(998));
  const { log } = await seen(scene, 'end', [lines(text)], { maxMessageSize: text.length });
  assert.deepStrictEqual(log, [['message', 'x'.repeat(998)], ['disconnect']]);
}, { child: 'plain' });

beyond('a message deeper than maxDepth is refused, one as deep arrives', async (scene) => {
  const fits = await seen(scene, 'end', [lines(nested(20))], { maxDepth: 20 });
  assert.strictEqual(fits.log[0][0], 'message');
  const { log } = await seen(scene, 'stay', [lines(nested(21))], { maxDepth: 20 });
  assert.deepStrictEqual(log, [['protocolError', 'ERR_RSIPC_TOO_DEEP'], ['disconnect']]);
}, { child: 'plain' });

beyond('a message a million levels deep is refused', async (scene) => {
  const { log } = await seen(scene, 'stay', ['['.repeat(50_000), '['.repeat(50_000), lines(']'.repeat(40_000))]);
  assert.deepStrictEqual(log, [['protocolError', 'ERR_RSIPC_TOO_DEEP'], ['disconnect']]);
}, { child: 'plain' });

beyond('an end in the middle of a message says how much of it came', async (scene) => {
  const child = rawWriter(scene, 'end', [lines('1'), '{"half":']);
  const log = [];
  child.on('message', (message) => log.push(message));
  child.on('protocolError', (error) => log.push(error.code, error.message.includes('8 bytes')));
  child.on('disconnect', () => log.push('disconnect'));
  await happened(child, 'exit');
  if (!log.includes('disconnect')) await happened(child, 'disconnect');
  assert.deepStrictEqual(log, [1, 'ERR_RSIPC_TRUNCATED', true, 'disconnect']);
}, { child: 'plain' });

beyond('a message that stays incomplete is told of after frameTimeout', async (scene) => {
  const { log } = await seen(scene, 'stay', ['{"half":'], { frameTimeout: 50 });
  assert.deepStrictEqual(log, [['protocolError', 'ERR_RSIPC_FRAME_TIMEOUT'], ['disconnect']]);
}, { child: 'plain' });

beyond('an advanced frame that is no serialized value is refused', async (scene) => {
  const good = frame(v8.serialize('good'));
  const { log } = await seen(scene, 'stay', [good, frame(Buffer.from('nonsense')), good], { serialization: 'advanced' });
  assert.deepStrictEqual(log, [['message', 'good'], ['protocolError', 'ERR_RSIPC_MALFORMED_FRAME'], ['disconnect']]);
}, { child: 'plain' });

beyond('an advanced frame that claims 4 GiB is refused before it is read', async (scene) => {
  const { log } = await seen(scene, 'stay', [Buffer.from([0xff, 0xff, 0xff, 0xff, 1, 2, 3])], { serialization: 'advanced' });
  assert.deepStrictEqual(log, [['protocolError', 'ERR_RSIPC_MESSAGE_TOO_LARGE'], ['disconnect']]);
}, { child: 'plain' });

beyond('an acknowledgement nobody waits for is harmless or told of, never fatal', async (scene) => {
  const { log } = await seen(scene, 'end', [lines('{"cmd":"NODE_HANDLE_ACK"}', '{"cmd":"NODE_HANDLE_NACK"}', '1')], { onProtocolError: 'drop' });
  assert.deepStrictEqual(log.filter(([event]) => event !== 'protocolError'), [['message', 1], ['disconnect']]);
}, { child: 'plain' });

beyond('a handle frame without a descriptor is answered, and its message arrives without a handle', async (scene) => {
  const child = rawWriter(scene, 'end', [lines('{"cmd":"NODE_HANDLE","type":"net.Socket","msg":"about a socket"}', '1')]);
  const log = [];
  child.on('handleProblem', ({ reason, message }) => log.push(['problem', typeof reason, message]));
  child.on('message', (message, handle) => log.push([message, handle]));
  await happened(child, 'disconnect');
  await scene.ended(child);
  assert.ok(log.some(([message]) => message === 1), 'the message behind it');
}, { child: 'plain' });

beyond('messages of rsipc\'s own with nonsense in them are ignored', async (scene) => {
  const nonsense = ['{"cmd":"NODE_RSIPC"}', '{"cmd":"NODE_RSIPC","act":"reply","id":99,"body":1}', '{"cmd":"NODE_RSIPC","act":"request","id":"x"}',
    '{"cmd":"NODE_RSIPC","act":"receipt","id":{}}', '{"cmd":"NODE_RSIPC","act":["hello"]}', '{"cmd":"NODE_RSIPC","act":"cancel","id":-1}', '{"cmd":"NODE_RSIPC","act":"__proto__","id":1}'];
  const { log } = await seen(scene, 'end', [lines(...nonsense, '1')]);
  assert.deepStrictEqual(log, [['message', 1], ['disconnect']]);
}, { child: 'plain' });

beyond('messages split at every byte arrive whole', async (scene) => {
  const text = lines('{"a":"ä漢😀"}', '[1]');
  const bytes = Buffer.from(text);
  const { log } = await seen(scene, 'end', Array.from(bytes, (_, index) => bytes.subarray(index, index + 1)));
  assert.deepStrictEqual(log, [['message', { a: 'ä漢😀' }], ['message', [1]], ['disconnect']]);
}, { child: 'plain' });

beyond('no error text shows what a message held', async (scene) => {
  const child = rawWriter(scene, 'stay', [lines('{"password":"hunter2"')]);
  const [error] = await happened(child, 'protocolError');
  assert.doesNotMatch(`${error.message}${error.stack}`, /hunter2|password/);
  await happened(child, 'exit');
}, { child: 'plain' });

test('settings are checked where they are given', () => {
  const wrong = {
    onProtocolError: ['ERR_INVALID_ARG_VALUE', 'explode'],
    maxMessageSize: ['ERR_INVALID_ARG_TYPE', 'large'],
    maxDepth: ['ERR_OUT_OF_RANGE', 0],
    frameTimeout: ['ERR_OUT_OF_RANGE', -1],
    handleTimeout: ['ERR_INVALID_ARG_TYPE', null],
    flushDeadline: ['ERR_OUT_OF_RANGE', NaN],
    highWaterMark: ['ERR_OUT_OF_RANGE', 0],
    acceptHandles: ['ERR_INVALID_ARG_TYPE', 'net.Socket'],
    dieWithParent: ['ERR_INVALID_ARG_TYPE', 1],
    transport: ['ERR_INVALID_ARG_VALUE', 'pigeon'],
    maxEarlyBytes: ['ERR_OUT_OF_RANGE', -5],
  };
  for (const [name, [code, value]] of Object.entries(wrong)) {
    assert.throws(() => rsipc.fork(__filename, [], { [name]: value }), (error) => error.code === code && error.message.includes(name), name);
  }
  assert.throws(() => rsipc.fork(__filename, [], { acceptHandles: ['net.Socket', 'net.Nonsense'] }), { code: 'ERR_INVALID_ARG_VALUE' });
  assert.throws(() => rsipc.fork(__filename, [], { highWaterMark: { bytes: 0 } }), { code: 'ERR_OUT_OF_RANGE' });
});
