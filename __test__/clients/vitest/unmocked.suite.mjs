// The same module as in mocks.suite.mjs, here as it is.

import { expect, test } from 'vitest';
import { latest } from './latest.mjs';

test('the real registry answers', async () => {
  expect(await latest('semver')).toBe('7.8.6');
});
