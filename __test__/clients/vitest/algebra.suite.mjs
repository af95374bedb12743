// semver's algebra of ranges against a grid of versions: what subset, intersects, simplifyRange,
// minVersion and the two satisfying functions say must agree with testing every version.

import semver from 'semver';
import { describe, expect, test } from 'vitest';

const GRID = [0, 1, 2, 3].flatMap((major) => [0, 1, 2, 9].flatMap((minor) => [0, 1, 5].map((patch) => `${major}.${minor}.${patch}`)));
const RANGES = [
  '*', '^1', '^1.2', '^1.2.1', '~1.2', '~1.2.1', '^0.1', '^0.2.1', '1.x || 3.x', '>=1.0.0 <2.1.0', '<1.2.0', '>2.0.0',
  '1.2.0 - 2.1.5', '0.9.5', '>=3.9.1 || <0.1.0',
];
const inside = (range) => GRID.filter((version) => semver.satisfies(version, range));

describe.each(RANGES)('%s', (range) => {
  test('has its least version at the bottom', () => {
    expect(semver.minSatisfying(GRID, range)).toBe(inside(range)[0]);
    expect(semver.compare(semver.minVersion(range), inside(range)[0])).toBeLessThanOrEqual(0);
  });

  test('has its greatest version at the top', () => {
    expect(semver.maxSatisfying(GRID, range)).toBe(inside(range).at(-1));
  });

  test('is simplified without loss', () => {
    const simple = String(semver.simplifyRange(GRID, range));
    expect(simple.length).toBeLessThanOrEqual(range.length);
    expect(inside(simple)).toEqual(inside(range));
  });

  test.each(RANGES)('against %s', (other) => {
    const mine = inside(range);
    const theirs = new Set(inside(other));
    const common = mine.filter((version) => theirs.has(version));
    if (common.length > 0) expect(semver.intersects(range, other)).toBe(true);
    if (semver.subset(range, other)) expect(common).toEqual(mine);
    expect(semver.intersects(range, other)).toBe(semver.intersects(other, range));
  });
});
