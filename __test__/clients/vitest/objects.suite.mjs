// lodash's object functions: paths set and read back, merges, differences of keys.

import _ from 'lodash';
import { describe, expect, test } from 'vitest';

const PATHS = ['a', 'a.b', 'a.b.c', 'a[0]', 'a[0].b', 'a[2][1]', '["a.b"].c', 'x.y[3].z', 'ключ.値', 'a.0.b'];

describe.each(PATHS)('at %s', (path) => {
  test('set is read back by get', () => {
    const object = {};
    _.set(object, path, 'here');
    expect(_.get(object, path)).toBe('here');
    expect(_.has(object, path)).toBe(true);
  });

  test('unset leaves nothing to get', () => {
    const object = _.set({}, path, 'here');
    expect(_.unset(object, path)).toBe(true);
    expect(_.get(object, path, 'default')).toBe('default');
  });

  test('update sees the value before', () => {
    const object = _.set({}, path, 20);
    _.update(object, path, (n) => n + 1);
    expect(_.get(object, path)).toBe(21);
  });

  test('pick and omit divide the object', () => {
    const object = _.set({ other: 1 }, path, 'here');
    expect(_.get(_.pick(object, path), path)).toBe('here');
    expect(_.get(_.omit(object, path), path)).toBeUndefined();
    expect(_.omit(object, path).other).toBe(1);
  });
});

describe('merge', () => {
  test.each([
    [{ a: 1 }, { b: 2 }, { a: 1, b: 2 }],
    [{ a: { b: 1 } }, { a: { c: 2 } }, { a: { b: 1, c: 2 } }],
    [{ a: [1, 2, 3] }, { a: [4] }, { a: [4, 2, 3] }],
    [{ a: 1 }, { a: undefined }, { a: 1 }],
    [{ a: 1 }, { a: null }, { a: null }],
    [{ a: [{ b: 1 }] }, { a: [{ c: 2 }] }, { a: [{ b: 1, c: 2 }] }],
  ])('of %j and %j is %j', (left, right, expected) => {
    expect(_.merge(_.cloneDeep(left), right)).toEqual(expected);
  });

  test('does not touch Object.prototype', () => {
    _.merge({}, JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}'));
    expect({}.polluted).toBeUndefined();
  });
});

test('an object matches its inline snapshot', () => {
  expect(_.invert({ a: 'x', b: 'y' })).toMatchInlineSnapshot(`
    {
      "x": "a",
      "y": "b",
    }
  `);
});
