'use strict';

// The worker exits under this file the first time; Jest starts another and runs the file again.

const fs = require('node:fs');
const path = require('node:path');

test('the second worker runs the file to its end', () => {
  const mark = path.join(process.env.CLIENTS_RUN, 'exited-once');
  if (!fs.existsSync(mark)) {
    fs.writeFileSync(mark, '');
    process.exit(3);
  }
  expect(fs.readFileSync(mark, 'utf8')).toBe('');
});
