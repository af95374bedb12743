// Output that travels with the results. What was printed is compared by the reporter; the tests
// hold that printing leaves the values alone.

import _ from 'lodash';
import { expect, test } from 'vitest';

test('two thousand lines are printed in order', () => {
  const lines = _.range(2000).map((n) => _.padStart(String(n), 6, '.'));
  for (const line of lines) console.log('line %s of %d', line, lines.length);
  expect(lines.map((line) => Number(_.trimStart(line, '.')))).toEqual(_.range(2000));
});

test('a line of one megabyte is printed', () => {
  const line = _.repeat('0123456789abcdef', 2 ** 16);
  console.warn(line);
  expect(line).toHaveLength(2 ** 20);
});

test('every kind of value is printed', () => {
  const nested = { deeply: { deeper: [1, 2, 3] }, text: 'żółw 👩‍👩‍👧' };
  const before = _.cloneDeep(nested);
  console.error('an error, printed');
  console.info(nested);
  console.debug('%o', new Map([['k', nested]]));
  expect(nested).toEqual(before);
});
