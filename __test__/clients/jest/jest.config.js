'use strict';

// Jest as its users run it, less the transpiler and less everything written outside the run's folder.

const path = require('node:path');

module.exports = {
  rootDir: __dirname,
  testMatch: ['<rootDir>/*.suite.js'],
  transform: {},
  watchman: false,
  // For a busy machine; the tests that are to time out set their own.
  testTimeout: 30_000,
  cacheDirectory: path.join(process.env.CLIENTS_RUN, 'cache'),
  reporters: ['<rootDir>/reporter.js'],
  // Without a cached timing Jest forks for any number of files; a fresh cache folder makes sure of it.
  cache: false,
};
