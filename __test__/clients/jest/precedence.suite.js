'use strict';

// semver's order against the chain of the specification (§ 11), written lowest first: for any two
// members the answer follows from their places alone.

const semver = require('semver');

const CHAIN = [
  '0.0.0-0', '0.0.0', '0.0.1-alpha', '0.0.1', '0.1.0-rc.1', '0.1.0',
  '1.0.0-1', '1.0.0-2', '1.0.0-10', '1.0.0-alpha', '1.0.0-alpha.1', '1.0.0-alpha.beta', '1.0.0-beta',
  '1.0.0-beta.2', '1.0.0-beta.11', '1.0.0-rc.1', '1.0.0',
  '1.0.1', '1.2.0', '1.10.0', '2.0.0-a-b', '2.0.0', '10.0.0',
];

describe('compare', () => {
  const pairs = [];
  CHAIN.forEach((low, i) => CHAIN.slice(i + 1).forEach((high) => pairs.push([low, high])));

  test.each(pairs)('puts %s below %s', (low, high) => {
    expect(semver.compare(low, high)).toBe(-1);
    expect(semver.compare(high, low)).toBe(1);
    expect(semver.lt(low, high)).toBe(true);
    expect(semver.gte(low, high)).toBe(false);
  });
});

describe('sort', () => {
  // A linear congruential generator: the same "random" orders in every run.
  const shuffled = (seed) => {
    let state = seed;
    const items = [...CHAIN];
    for (let i = items.length - 1; i > 0; i -= 1) {
      state = (state * 1103515245 + 12345) % 2147483648;
      const j = state % (i + 1);
      [items[i], items[j]] = [items[j], items[i]];
    }
    return items;
  };

  test.each([1, 2, 3, 5, 8, 13, 21, 34])('restores the chain from shuffle %i', (seed) => {
    expect(shuffled(seed)).not.toEqual(CHAIN);
    expect(semver.sort(shuffled(seed))).toEqual(CHAIN);
    expect(semver.rsort(shuffled(seed))).toEqual([...CHAIN].reverse());
  });

  test('ignores build metadata unless asked', () => {
    expect(semver.compare('1.0.0+b', '1.0.0+a')).toBe(0);
    expect(semver.compareBuild('1.0.0+b', '1.0.0+a')).toBe(1);
  });
});
