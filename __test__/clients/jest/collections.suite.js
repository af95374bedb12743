'use strict';

// lodash's collection functions against plain loops over the same orders.

const _ = require('lodash');

const CITIES = ['Oslo', 'Bergen', 'Tromsø', 'Bodø', 'Ålesund', 'Røros', 'Molde'];
const ORDERS = Array.from({ length: 700 }, (unused, i) => ({
  id: i,
  city: CITIES[(i * 31) % CITIES.length],
  amount: ((i * 7919) % 1000) / 10,
  tags: [`t${i % 3}`, `t${i % 5}`],
}));

describe.each(CITIES)('orders from %s', (city) => {
  const mine = ORDERS.filter((order) => order.city === city);

  test('are one group', () => {
    expect(_.groupBy(ORDERS, 'city')[city]).toEqual(mine);
  });

  test('are counted', () => {
    expect(_.countBy(ORDERS, 'city')[city]).toBe(mine.length);
  });

  test('are split off by partition', () => {
    const [inside, outside] = _.partition(ORDERS, { city });
    expect(inside).toEqual(mine);
    expect(outside).toHaveLength(ORDERS.length - mine.length);
  });

  test('come in a stable order', () => {
    const sorted = _.orderBy(mine, ['amount'], ['desc']);
    sorted.slice(1).forEach((order, i) => {
      expect(order.amount).toBeLessThanOrEqual(sorted[i].amount);
      if (order.amount === sorted[i].amount) expect(order.id).toBeGreaterThan(sorted[i].id);
    });
  });

  test('have the tags a set would have', () => {
    expect(_.uniq(_.flatMap(mine, 'tags')).sort()).toEqual([...new Set(mine.flatMap(({ tags }) => tags))].sort());
  });

  test('sum up', () => {
    let sum = 0;
    for (const { amount } of mine) sum += amount;
    expect(_.sumBy(mine, 'amount')).toBeCloseTo(sum, 6);
  });
});

describe('chunk', () => {
  test.each([1, 2, 3, 7, 64, 699, 700, 701])('by %i loses nothing', (size) => {
    const chunks = _.chunk(ORDERS, size);
    expect(chunks).toHaveLength(Math.ceil(ORDERS.length / size));
    expect(chunks.flat()).toEqual(ORDERS);
  });
});
