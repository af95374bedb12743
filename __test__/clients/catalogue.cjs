'use strict';

// The tasks both pools are given: each has a name, a function of work.cjs and its argument.

const _ = require('lodash');

const VERSIONS = [
  '0.0.1', '0.0.9', '0.1.0', '0.2.1', '0.2.9', '0.9.5', '1.0.0-alpha', '1.0.0-alpha.1', '1.0.0-beta.2', '1.0.0-rc.1',
  '1.0.0', '1.0.1', '1.2.0', '1.2.3-beta.1', '1.2.3-beta.4', '1.2.3', '1.2.9', '1.3.0', '1.10.0', '1.99.0',
  '2.0.0-0', '2.0.0', '2.1.5', '2.3.4', '3.0.0', '3.9.1', '10.0.0',
];

const RANGES = [
  '*', '1', '1.2', '1.2.3', '^1', '^1.2', '^1.2.3', '^1.2.3-beta.2', '^0.2', '^0.2.1', '^0.0.1', '~1', '~1.2', '~1.2.3',
  '1.x', '1.2.x', '>=1.2.3', '>1.2.3', '<1.2.3', '<=1.2.3', '>=1.0.0 <2.0.0', '1.2.3 - 2.3.4', '1.2 - 2', '1.x || 3.x',
  '<0.1.0 || >=3', '>=1.0.0-alpha <1.0.0', '0.9.5 || 10.0.0', '=2.1.5', '>1', '<=1.2', '^3 || ^2.1', '~0.2.1 || ~1.2.3-beta',
  '>=0.0.1 <0.0.9', '>=1.2.9 <=1.10.0', '1.0.0-rc.1', '>=2.0.0-0', '^10', '<1', '>=0', '1.99.x',
];

const TEXTS = [
  'fooBar', 'XMLHttpRequest', 'enable 6h format', 'déjà vu', 'Ærøskøbing', '--a-b--', '__A_B__', '<a href="x">&</a>',
  'żółw i jeż', '漢字かな交じり文', '👩‍👩‍👧 family', 'line\nbreak', 'tab\tstop', 'nul\u0000byte', 'sep\u2028arator\u2029s',
  'quote " and \\ slash', '{"looks":"like json"}', 'NODE_HANDLE', 'a'.repeat(5000), '',
];

// Around the sizes at which buffers end: a socket's, a pipe's, a page, a read.
const SIZES = [1, 100, 4095, 4096, 4097, 65_535, 65_536, 65_537, 262_144, 1_000_000, 4_194_304];

const ECHOES = {
  'null': null,
  'true': true,
  'zero': 0,
  'a great number': 1.7976931348623157e308,
  'a small number': 5e-324,
  'the last safe integer': Number.MAX_SAFE_INTEGER,
  'an empty text': '',
  'an empty array': [],
  'an empty object': {},
  'half a pair of surrogates': 'a\ud800b',
  'every control character': _.times(32, (code) => String.fromCharCode(code)).join(''),
  'keys of every sort': { '': 1, ' ': 2, 'ключ': 3, '__proto__x': 4, 'a.b': 5, '0': 6, 'cmd': 'NODE_', 'toString': 7 },
  'a command that is not quite one of Node\'s': { cmd: 'NODE', type: 'x', msg: {} },
  'five hundred levels': _.times(500).reduce((inner) => ({ inner }), 'bottom'),
  'twenty thousand keys': _.fromPairs(_.times(20_000, (n) => [`key ${n}`, n])),
  'a hundred thousand numbers': _.range(100_000),
};

const tasks = [
  ...RANGES.map((range) => [`survey of ${range}`, 'survey', { versions: VERSIONS, range }]),
  ...VERSIONS.map((version) => [`releases after ${version}`, 'releases', { version }]),
  ..._.range(1, 21).map((n) => [`sort of the versions turned by ${n}`, 'sort', { versions: [...VERSIONS.slice(n), ...VERSIONS.slice(0, n)] }]),
  ..._.range(1, 31).map((n) => [`ledger of ${n * 150} orders`, 'ledger', { orders: n * 150, seed: n }]),
  ...TEXTS.map((text) => [`words of ${JSON.stringify(text.slice(0, 30))}`, 'words', { text }]),
  ...TEXTS.map((text) => [`template with ${JSON.stringify(text.slice(0, 30))}`, 'template', {
    source: '<% _.forEach(list, (item) => { %>[<%- item %>]<% }) %>', values: { list: [text, text.length] },
  }]),
  ...SIZES.map((size) => [`digest of ${size} characters`, 'digest', { text: _.repeat('rsipc·', Math.ceil(size / 6)).slice(0, size) }]),
  ...SIZES.map((size) => [`${size} characters back`, 'repeat', { piece: 'x', times: size }]),
  ...SIZES.map((size) => [`${size} wide characters there and back`, 'echo', _.repeat('é', size)]),
  ..._.map(ECHOES, (value, name) => [`echo of ${name}`, 'echo', value]),
  ..._.range(0, 40).map((n) => [`answer ${n} after some milliseconds`, 'later', { ms: (n * 7) % 23, value: { n } }]),
  ..._.range(0, 10).map((n) => [`error ${n} [fails]`, 'throwError', { message: `out of range by ${n}`, code: `E_${n}` }]),
  ...['1', '1.2', 'x', '1.2.3.4'].map((version) => [`no version ${version} [fails]`, 'throwFromSemver', { version }]),
  ['a rejection of a megabyte [fails]', 'reject', { message: _.repeat('0123456789abcdef', 2 ** 16) }],
].map(([name, method, argument]) => ({ name, method, argument }));

module.exports = { tasks };
