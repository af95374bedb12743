// Tests that do not pass, on purpose, with values that are hard to carry from worker to parent.
// A title says the status it must get; run.mjs holds the run to it.

import _ from 'lodash';
import semver from 'semver';
import { beforeAll, describe, expect, test } from 'vitest';

describe('a failing assertion', () => {
  test('about versions [fails]', () => {
    expect(semver.sort(['2.0.0', '1.0.0'])).toEqual(['2.0.0', '1.0.0']);
  });

  test('about BigInts [fails]', () => {
    expect({ n: 10n ** 30n }).toEqual({ n: 10n ** 30n + 1n });
  });

  test('about functions and symbols [fails]', () => {
    expect({ clone: _.cloneDeep, mark: Symbol('a') }).toEqual({ clone: _.clone, mark: Symbol('b') });
  });

  test('about an object that holds itself [fails]', () => {
    const ring = { name: 'ring' };
    ring.ring = ring;
    expect(ring).toEqual({ name: 'ring' });
  });

  test('about maps, sets, dates and NaN [fails]', () => {
    expect(new Map([['k', new Set([NaN, new Date(0)])]])).toEqual(new Map([['k', new Set([NaN, new Date(1)])]]));
  });

  test('about text of many scripts [fails]', () => {
    expect('żółw 漢字 👩‍👩‍👧 \u2028 \u0000 \ud800').toBe('plain');
  });

  test('about two things softly [fails]', () => {
    expect.soft(semver.major('1.2.3')).toBe(2);
    expect.soft(semver.minor('1.2.3')).toBe(3);
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
    throw new Error('outer', { cause: new TypeError('inner') });
  });

  test('string [fails]', () => {
    // eslint-disable-next-line no-throw-literal
    throw 'a bare string';
  });

  test('error that carries what cannot be cloned [fails]', () => {
    throw Object.assign(new Error('carries'), { callback() {}, promise: Promise.resolve(), weak: new WeakMap() });
  });

  test('message of two million characters [fails]', () => {
    throw new Error('rsipc '.repeat(350_000));
  });
});

describe('a test that never ends', () => {
  test('times out [fails]', () => new Promise(() => {}), 200);

  test('does not spoil the next', () => {
    expect(semver.major('3.2.1')).toBe(3);
  });
});

describe('a failing hook', () => {
  beforeAll(() => {
    throw new Error('the hook gave up');
  });

  test.each(['first', 'second'])('keeps the %s test from running [skips]', () => {
    expect(true).toBe(false);
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

  test('a test that skips itself [skips]', ({ skip }) => {
    skip('for a reason');
  });

  test.todo('a promised test [todo]');

  test.fails('a test known to fail', () => {
    expect(semver.valid('1.2')).toBe('1.2');
  });
});

describe('again and again', () => {
  let attempts = 0;

  test('passes on the third attempt', { retry: 2 }, () => {
    attempts += 1;
    expect(attempts).toBe(3);
  });

  test('passes five times', { repeats: 4 }, () => {
    expect(_.shuffle(_.range(50)).sort((a, b) => a - b)).toEqual(_.range(50));
  });
});

describe('what a test tells its reporter', () => {
  test('arrives as annotation and meta', async ({ annotate, task }) => {
    task.meta.versions = new Array(5000).fill('1.2.3-beta.4');
    await annotate('an annotation of some length '.repeat(1000), 'notice');
    expect(task.meta.versions.every((version) => semver.valid(version))).toBe(true);
  });
});
