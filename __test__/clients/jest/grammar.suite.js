'use strict';

// What semver reads as a version, what it refuses, and what it makes of things in between.

const semver = require('semver');

describe('valid', () => {
  test.each([
    '0.0.4', '1.2.3', '10.20.30', '1.1.2-prerelease+meta', '1.1.2+meta', '1.0.0-alpha', '1.0.0-alpha.beta.1',
    '1.0.0-alpha0.valid', '1.0.0-rc.1+build.123', '2.0.0+build.1848', '1.0.0-alpha-a.b-c-somethinglong',
    '1.2.3----RC-SNAPSHOT.12.9.1--.12', '1.0.0+0.build.1-rc.10000aaa-kk-0.1', '1.0.0-0A.is.legal',
  ])('accepts %s', (version) => {
    expect(semver.parse(version)).not.toBeNull();
    expect(semver.valid(version)).toBe(version.split('+')[0]);
  });

  test.each([
    '1', '1.2', '1.2.3-0123', '1.2.3-0123.0123', '1.1.2+.123', '+invalid', '-invalid', 'alpha', 'alpha.beta.1',
    '01.1.1', '1.01.1', '1.1.01', '1.2.3.DEV', '1.2-SNAPSHOT', '1.0.0-alpha_beta', '1.0.0-alpha..', '1.0.0-..1', '',
  ])('refuses %j', (version) => {
    expect(semver.valid(version)).toBeNull();
    expect(() => new semver.SemVer(version)).toThrow(TypeError);
  });
});

describe('inc', () => {
  test.each([
    ['1.2.3', 'major', '2.0.0'], ['1.2.3', 'minor', '1.3.0'], ['1.2.3', 'patch', '1.2.4'],
    ['1.2.3-tag', 'major', '2.0.0'], ['1.2.3-tag', 'patch', '1.2.3'], ['1.2.0-0', 'minor', '1.2.0'],
    ['1.2.3', 'prepatch', '1.2.4-0'], ['1.2.3', 'preminor', '1.3.0-0'], ['1.2.3', 'premajor', '2.0.0-0'],
    ['1.2.4-0', 'prerelease', '1.2.4-1'], ['1.2.3-alpha.0', 'prerelease', '1.2.3-alpha.1'],
  ])('takes %s by %s to %s', (from, release, to) => {
    expect(semver.inc(from, release)).toBe(to);
  });
});

describe('coerce', () => {
  test.each([
    ['v2', '2.0.0'], ['42.6.7.9.3-alpha', '42.6.7'], ['version 1.2 of something', '1.2.0'], ['.1', '1.0.0'], ['', undefined],
    ['1'.repeat(16), '1111111111111111.0.0'], ['1'.repeat(17), undefined],
  ])('makes of %s %s', (text, expected) => {
    expect(semver.coerce(text)?.version).toBe(expected);
  });
});

test('a parsed version matches its inline snapshot', () => {
  const { major, minor, patch, prerelease, build } = semver.parse('1.2.3-beta.4+sha.5114f85');
  expect({ major, minor, patch, prerelease, build }).toMatchInlineSnapshot(`
{
  "build": [
    "sha",
    "5114f85",
  ],
  "major": 1,
  "minor": 2,
  "patch": 3,
  "prerelease": [
    "beta",
    4,
  ],
}
`);
});
