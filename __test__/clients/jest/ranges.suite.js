'use strict';

// semver ranges: what each lets in and what it keeps out, by hand.

const semver = require('semver');

const RANGES = [
  ['^1.2.3', '1.2.3 1.2.4 1.9.0', '1.2.2 2.0.0 2.0.0-0 1.3.0-beta'],
  ['^0.2.3', '0.2.3 0.2.9', '0.2.2 0.3.0 1.0.0'],
  ['^0.0.3', '0.0.3', '0.0.2 0.0.4'],
  ['^1.2.3-beta.2', '1.2.3-beta.2 1.2.3-beta.4 1.2.3 1.5.0', '1.2.3-beta.1 1.2.4-beta.3 2.0.0'],
  ['~1.2.3', '1.2.3 1.2.99', '1.2.2 1.3.0'],
  ['~1.2', '1.2.0 1.2.7', '1.1.9 1.3.0'],
  ['~1', '1.0.0 1.9.9', '0.9.9 2.0.0'],
  ['1.2.x', '1.2.0 1.2.8', '1.1.0 1.3.0'],
  ['1.x', '1.0.0 1.99.99', '0.99.99 2.0.0'],
  ['*', '0.0.0 1.2.3 99.0.0', '1.0.0-alpha'],
  ['>=1.2.7 <1.3.0', '1.2.7 1.2.8 1.2.99', '1.2.6 1.3.0 1.1.0'],
  ['1.2.7 || >=1.2.9 <2.0.0', '1.2.7 1.2.9 1.4.6', '1.2.8 2.0.0'],
  ['1.2.3 - 2.3.4', '1.2.3 2.0.0 2.3.4', '1.2.2 2.3.5'],
  ['1.2 - 2.3', '1.2.0 2.3.9', '1.1.9 2.4.0'],
  ['>1.2', '1.3.0 2.0.0', '1.2.0 1.2.9'],
  ['<=1.2', '1.2.9 0.0.1', '1.3.0'],
  ['<1.0.0-rc.2', '0.9.9 1.0.0-rc.1', '1.0.0-rc.2 1.0.0'],
  ['>1.0.0-rc.2', '1.0.0-rc.3 1.0.0 3.4.5', '1.0.0-rc.2 1.0.1-rc.3'],
];

describe.each(RANGES)('%s', (range, inside, outside) => {
  test.each(inside.split(' '))('lets %s in', (version) => {
    expect(semver.satisfies(version, range)).toBe(true);
    expect(semver.outside(version, range, '<')).toBe(false);
    expect(semver.outside(version, range, '>')).toBe(false);
  });

  test.each(outside.split(' '))('keeps %s out', (version) => {
    expect(semver.satisfies(version, range)).toBe(false);
  });

  test('survives its own canonical form', () => {
    const canonical = semver.validRange(range);
    expect(semver.validRange(canonical)).toBe(canonical);
    for (const version of `${inside} ${outside}`.split(' ')) {
      expect(semver.satisfies(version, canonical)).toBe(semver.satisfies(version, range));
    }
  });

  test('lets its own minimum in', () => {
    expect(semver.satisfies(semver.minVersion(range), range)).toBe(true);
  });
});

describe('validRange', () => {
  test.each([
    ['^1.2.3', '>=1.2.3 <2.0.0-0'], ['~1.2.3', '>=1.2.3 <1.3.0-0'], ['1.x || 3.x', '>=1.0.0 <2.0.0-0||>=3.0.0 <4.0.0-0'],
    ['', '*'], ['>=1.0.0', '>=1.0.0'], ['blerg', null], ['1.2.3.4', null],
  ])('turns %j into %j', (range, expected) => {
    expect(semver.validRange(range)).toBe(expected);
  });
});
