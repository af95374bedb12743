'use strict';

// The worker exits under this file every time, until Jest gives up.

test('nobody hears of this test', () => {
  process.exit(5);
});
