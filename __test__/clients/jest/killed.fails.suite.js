'use strict';

// The worker is killed under this file; Jest does not try again, and replaces the worker.

test('nobody hears of this test', () => {
  process.kill(process.pid, 'SIGKILL');
  for (;;);
});
