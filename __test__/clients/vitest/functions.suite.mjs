// lodash's functions over time and arguments, with Vitest's fake clock, spies and fixtures.

import _ from 'lodash';
import { afterEach, beforeEach, describe, expect, test as base, vi } from 'vitest';

const test = base.extend({
  // eslint-disable-next-line no-empty-pattern
  spy: async ({}, use) => {
    const spy = vi.fn((...args) => args.length);
    await use(spy);
    spy.mockReset();
  },
});

describe('under a fake clock', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  for (const wait of [10, 50, 250, 1000]) {
    test(`debounce by ${wait} calls once, after the last`, ({ spy }) => {
      const debounced = _.debounce(spy, wait);
      for (let i = 0; i < 5; i += 1) {
        debounced(i);
        vi.advanceTimersByTime(wait - 1);
      }
      expect(spy).not.toHaveBeenCalled();
      vi.advanceTimersByTime(1);
      expect(spy.mock.calls).toEqual([[4]]);
    });

    test(`throttle by ${wait} calls at both edges`, ({ spy }) => {
      const throttled = _.throttle(spy, wait);
      throttled('first');
      throttled('second');
      throttled('third');
      expect(spy.mock.calls).toEqual([['first']]);
      vi.advanceTimersByTime(wait);
      expect(spy.mock.calls).toEqual([['first'], ['third']]);
    });

    test(`delay by ${wait} passes its arguments`, ({ spy }) => {
      _.delay(spy, wait, 'a', 'b');
      vi.advanceTimersByTime(wait);
      expect(spy).toHaveBeenCalledExactlyOnceWith('a', 'b');
    });
  }
});

describe('curry', () => {
  const sum = (a, b, c, d) => a + b + c + d;
  const ways = [[[1], [2], [3], [4]], [[1, 2], [3, 4]], [[1], [2, 3, 4]], [[1, 2, 3, 4]], [[], [1, 2], [], [3], [4]]];

  test.each(ways.map((way) => [JSON.stringify(way), way]))('takes %s', (name, way) => {
    expect(way.reduce((curried, args) => curried(...args), _.curry(sum))).toBe(10);
  });
});

describe('memoize', () => {
  test('asks once for each key', ({ spy }) => {
    const memoized = _.memoize(spy);
    expect([memoized('a', 1), memoized('a', 2, 3), memoized('b')]).toEqual([2, 2, 1]);
    expect(spy).toHaveBeenCalledTimes(2);
  });
});

describe.concurrent('concurrently', () => {
  base.for(_.range(30))('flow and flowRight agree backwards, %i', async (n, { expect: own }) => {
    const steps = [(x) => x + n, (x) => x * 2, (x) => x - 1];
    await new Promise((resolve) => { setTimeout(resolve, n % 5); });
    own(_.flow(steps)(3)).toBe((3 + n) * 2 - 1);
    own(_.flowRight([...steps].reverse())(3)).toBe((3 + n) * 2 - 1);
  });
});
