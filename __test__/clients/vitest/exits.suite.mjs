// process.exit in a test: Vitest puts its own in the way and reports the call.

import { expect, test } from 'vitest';

test('an exit is refused [fails]', () => {
  process.exit(3);
});

test('the worker goes on after it', () => {
  expect(process.connected).toBe(true);
});
