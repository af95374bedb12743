// The module under test in mocks.suite.mjs and unmocked.suite.mjs.

import semver from 'semver';
import { versions } from './registry.mjs';

export async function latest(name) {
  return semver.maxSatisfying(versions(name), '*');
}
