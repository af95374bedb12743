'use strict';

// Tests that do not pass, on purpose, with values that are hard to carry from worker to parent:
// what cannot be cloned, what refers to itself, what is very large. A title says the status it
// must get; run.mjs holds the run to it.

const _ = require('lodash');
const semver = require('semver');

describe('a failing assertion', () => {
  test('about versions [fails]', () => {
    expect(semver.sort(['2.0.0', '1.0.0'])).toEqual(['2.0.0', '1.0.0']);
  });

  test('about BigInts [fails]', () => {
    expect({ n: 10n ** 30n }).toEqual({ n: 10n ** 30n + 1n });
  });

  test('about functions [fails]', () => {
    expect({ clone: _.cloneDeep }).toEqual({ clone: _.clone });
  });

  test('about symbols [fails]', () => {
    expect(Symbol('a')).toBe(Symbol('b'));
  });

  test('about an object that holds itself [fails]', () => {
    const ring = { name: 'ring' };
    ring.ring = ring;
    expect(ring).toEqual({ name: 'ring' });
  });

  test('about maps, sets, dates and NaN [fails]', () => {
    expect(new Map([['k', new Set([NaN, new Date(0)])]])).toEqual(new Map([['k', new Set([NaN, new Date(1)])]]));
  });

  test('about a proxy [fails]', () => {
    expect(new Proxy({ a: 1 }, {})).toEqual({ a: 2 });
  });

  test('about text of many scripts [fails]', () => {
    expect('żółw 漢字 👩‍👩‍👧 \u2028 \u0000 \ud800').toBe('plain');
  });

  test.each(_.range(1, 21))('number %i of twenty [fails]', (n) => {
    expect(_.chunk(_.range(n), 3)).toEqual(_.chunk(_.range(n + 1), 3));
  });
});

describe('a thrown', () => {
  test('error with a code [fails]', () => {
    throw Object.assign(new RangeError('out of range'), { code: 'E_RANGE', at: new Date(0) });
  });

  test('error with a cause [fails]', () => {
    throw new Error('outer', { cause: new Error('inner') });
  });

  test('string [fails]', () => {
    // eslint-disable-next-line no-throw-literal
    throw 'a bare string';
  });

  test('rejection [fails]', async () => {
    await Promise.reject(new TypeError('rejected'));
  });

  test('error that carries a function [fails]', () => {
    throw Object.assign(new Error('carries'), { callback() {} });
  });

  test('message of two million characters [fails]', () => {
    throw new Error('rsipc '.repeat(350_000));
  });
});

describe('a test that never ends', () => {
  test('times out [fails]', () => new Promise(() => {}), 200);

  test('times out for want of done [fails]', (done) => {
    expect(done).toBeInstanceOf(Function);
  }, 200);

  test('does not spoil the next', () => {
    expect(semver.major('3.2.1')).toBe(3);
  });
});

describe('a failing hook', () => {
  beforeAll(() => {
    throw new Error('the hook gave up');
  });

  test.each(['first', 'second'])('fails the %s test [fails]', () => {
    expect(true).toBe(true);
  });
});

describe('not run:', () => {
  test.skip('a skipped test [skips]', () => {
    throw new Error('was run');
  });

  describe.skip('a skipped group', () => {
    test.each([1, 2, 3])('member %i [skips]', () => {
      throw new Error('was run');
    });
  });

  test.todo('a promised test [todo]');

  test.failing('a test known to fail', () => {
    expect(semver.valid('1.2')).toBe('1.2');
  });
});
