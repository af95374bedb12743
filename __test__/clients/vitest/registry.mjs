// What a package registry would answer; mocks.suite.mjs puts another in its place.

const RELEASES = { semver: ['6.3.1', '7.8.6', '7.8.5', '5.7.2'] };

export function versions(name) {
  return RELEASES[name] ?? [];
}
