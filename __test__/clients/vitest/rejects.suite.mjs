// An error nobody caught, outside any test's reach: reported for the run, not for a test.

import { expect, test } from 'vitest';

test('the test itself passes', async () => {
  setTimeout(() => { throw new Error('thrown past every test'); }, 0);
  Promise.reject(new Error('rejected past every test'));
  await new Promise((resolve) => { setTimeout(resolve, 50); });
  expect(process.connected).toBe(true);
});
