// The fork is killed under this file; the run goes on with the other files. Vitest has heard of the
// test when it was collected, and never hears of its end.

import { test } from 'vitest';

test('nobody hears of the end of this test [pending]', () => {
  process.kill(process.pid, 'SIGKILL');
  for (;;);
});
