'use strict';

// lodash's isEqual and cloneDeep over values of every kind: no two of these are equal, each is
// equal to its own clone, and no clone shares anything with its original.

const _ = require('lodash');

const circular = { name: 'circular' };
circular.self = circular;

const VALUES = [
  ['undefined', undefined], ['null', null], ['false', false], ['zero', 0], ['NaN', NaN], ['empty string', ''],
  ['empty array', []], ['empty object', {}], ['empty map', new Map()], ['empty set', new Set()],
  ['array', [1, [2, [3]]]], ['object', { a: { b: { c: 1 } } }], ['map', new Map([['a', new Map([['b', 1]])]])],
  ['set', new Set([1, 'a'])], ['date', new Date(0)], ['another date', new Date(1)], ['regexp', /a/g],
  ['another regexp', /a/i], ['bytes', new Uint8Array([1, 2, 3])], ['buffer', new Uint8Array([1, 2, 3]).buffer],
  ['boxed string', Object('a')], ['circular', circular],
];

describe('isEqual', () => {
  const pairs = [];
  VALUES.forEach(([a], i) => VALUES.slice(i + 1).forEach(([b], j) => pairs.push([a, b, i, i + 1 + j])));

  test.each(pairs)('tells %s from %s', (a, b, i, j) => {
    expect(_.isEqual(VALUES[i][1], VALUES[j][1])).toBe(false);
    expect(_.isEqual(VALUES[j][1], VALUES[i][1])).toBe(false);
  });
});

describe('cloneDeep', () => {
  test.each(VALUES)('of %s is equal and not the same', (name, value) => {
    const clone = _.cloneDeep(value);
    expect(_.isEqual(clone, value)).toBe(true);
    if (_.isObject(value)) expect(clone).not.toBe(value);
  });

  test('keeps a cycle a cycle', () => {
    const clone = _.cloneDeep(circular);
    expect(clone.self).toBe(clone);
  });
});
