'use strict';

// Jest runs a failed test of this file again, in the same worker.

const semver = require('semver');

jest.retryTimes(2);

let attempts = 0;

test('passes on the third attempt', () => {
  attempts += 1;
  expect(semver.inc('1.2.3', 'patch')).toBe(`1.2.${attempts + 1}`);
});

test('passes at once', () => {
  expect(semver.inc('1.2.3', 'minor')).toBe('1.3.0');
});
