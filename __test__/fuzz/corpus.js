'use strict';
// Valid traffic to mutate: what Node and rsipc write on a channel, in both serializations.

const { serialize } = require('../../lib/fork/serialization.js');

const VALUES = [
  null, true, 0, -1, 1.5, 1e300, 2 ** 31, '', 'text', 'é€😀\u2028', [], {}, [1, [2, [3, [4]]]], { a: { b: { c: null } } }, { text: 'x'.repeat(300) },
  Array.from({ length: 50 }, (_, index) => index), { cmd: 'user' }, { cmd: 'NODE_' }, { cmd: 'NODE_UNKNOWN', x: 1 },
];

const BEYOND_JSON = () => [
  undefined, 10n ** 30n, new Date(0), /x+/gi, new Map([[1, { a: 1 }], ['k', new Set([1, 2])]]), new Error('remote'), new Uint8Array(20), Buffer.from('bytes'),
  new Float64Array(3), new DataView(new ArrayBuffer(8)), [1, , 3], Object.assign([1, 2], { extra: 1 }), // eslint-disable-line no-sparse-arrays -- a sparse array has a form of its own
  Object(false), Object('boxed'), NaN, -0, (() => { const circle = { name: 'circle' }; circle.self = circle; return circle; })(),
];

const TYPES = ['net.Socket', 'net.Server', 'net.Native', 'dgram.Socket', 'dgram.Native', 'net.BoundSocket', 'fd', 'unknown'];

const INTERNAL = [
  ...TYPES.map((type) => ({ cmd: 'NODE_HANDLE', type, msg: { with: type } })),
  { cmd: 'NODE_HANDLE', type: 'net.Socket', msg: 'keyed', key: '4:127.0.0.1:0' },
  { cmd: 'NODE_HANDLE', type: 'dgram.Socket', msg: null, dgramType: 'udp4' },
  { cmd: 'NODE_HANDLE', type: 'net.Native', msg: { cmd: 'NODE_HANDLE', type: 'net.Socket', msg: 'again', key: '4:127.0.0.1:0' } },
  { cmd: 'NODE_HANDLE', type: 'net.Native', msg: { cmd: 'NODE_CLUSTER', act: 'newconn', key: '4:127.0.0.1:0', seq: 7 } },
  { cmd: 'NODE_HANDLE', type: 'net.Socket', msg: { cmd: 'NODE_RSIPC', act: 'message', id: 3, body: 'with handle', within: 100 } },
  { cmd: 'NODE_HANDLE_ACK' }, { cmd: 'NODE_HANDLE_NACK' },
  ...['NOTIFY_CLOSE', 'ALL_CLOSED', 'GET_COUNT', 'COUNT'].map((what) => ({ cmd: `NODE_SOCKET_${what}`, key: '4:127.0.0.1:0', count: 1 })),
  { cmd: 'NODE_CLUSTER', act: 'online', seq: 0 }, { cmd: 'NODE_CLUSTER', act: 'queryServer', index: 0, address: null, port: 80, addressType: 4, seq: 1 },
  { cmd: 'NODE_CLUSTER', ack: 1, accepted: true },
  { cmd: 'NODE_RSIPC', act: 'hello', version: 1 }, { cmd: 'NODE_RSIPC', act: 'hello', version: 1, reply: true },
  { cmd: 'NODE_RSIPC', act: 'request', id: 1, body: 'question' }, { cmd: 'NODE_RSIPC', act: 'cancel', id: 1 },
  ...[1, 2, 3, 4, 5].map((id) => ({ cmd: 'NODE_RSIPC', act: 'reply', id, body: 'answer' })),
  { cmd: 'NODE_RSIPC', act: 'reply', id: 2, error: { name: 'TypeError', message: 'no', stack: 'TypeError: no', code: 'E' } },
  { cmd: 'NODE_RSIPC', act: 'reply', id: 3, error: { thrown: { any: 1 } } }, { cmd: 'NODE_RSIPC', act: 'reply', id: 4, missing: true },
  { cmd: 'NODE_RSIPC', act: 'message', id: 1, body: 'take it', within: 100 }, { cmd: 'NODE_RSIPC', act: 'receipt', id: 1 },
  { cmd: 'NODE_RSIPC', act: 'receipt', id: 2, refused: 'kind' }, { cmd: 'NODE_RSIPC', act: 'receipt', id: 3, unheard: true },
];

function frame(payload) {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(payload.length);
  return Buffer.concat([head, payload]);
}

// Whole frames of one serialization.
function corpus(serialization) {
  if (serialization === 'json') return [...VALUES, ...INTERNAL].map((value) => Buffer.from(`${JSON.stringify(value)}\n`));
  // Nothing here is large enough to travel beside its message.
  return [...VALUES, ...BEYOND_JSON(), ...INTERNAL].map((value) => frame(serialize(value).payload));
}

module.exports = { corpus };
