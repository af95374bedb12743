'use strict';
// What is sent arrives: each message once, whole, and in order, however many there are.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { leavesNothing } = require('../../helpers/leavings.js');
const { until } = require('../../helpers/wait.js');
const { CODECS } = require('../places.js');
const { combinations } = require('./endpoints.js');
const { open } = require('./ends.js');

leavesNothing();

const MANY = Number(process.env.MESSAGES ?? 1_500);
const TIMEOUT = 60_000 + 5 * MANY; // ms
const BURST = 2_000;

for (const { name, place, codec } of combinations()) {
  const { make } = CODECS[codec];

  if (!place.loses) test(`${name} messages arrive once and in order${place.ways === 'both' ? ', both ways' : ''}`, { timeout: TIMEOUT }, async (t) => {
    const { near, far } = await open(t, { place, codec });
    const flows = place.ways === 'both' ? [[near, far], [far, near]] : [[near, far]];
    await Promise.all(flows.flatMap(([from, to]) => [to.counted(MANY), from.stream(MANY)]));
  });

  if (place.loses) test(`${name} what arrives is whole and in order, and what is lost is counted`, { timeout: TIMEOUT }, async (t) => {
    const { near, far } = await open(t, { place, codec });
    await Promise.all([[near, far, 1], [far, near, 0]].map(async ([from, to, told]) => {
      // A burst is more than a socket's buffer holds, so most of one is lost.
      for (const [way, first, last] of [['stream', 0, MANY - 1], ['burst', MANY, MANY + BURST - 1]]) {
        const arrived = to.rising(first, last);
        await from[way](last - first, first);
        // The last is sent until it comes: then all before it have come, or never will.
        let over = false;
        const count = arrived.finally(() => { over = true; });
        while (!over) {
          await from.say([make(last)]);
          await new Promise(setImmediate);
        }
        told += await count;
      }
      const counters = {};
      await until(async () => {
        Object.assign(counters, await to.datagrams(), { wanted: (await from.datagrams()).sent });
        return place.unit === 'packets' || counters.received + counters.lost === counters.wanted;
      }, 'each to be received or lost');
      assert.equal(counters.received, told + await to.unread());
      const { reordered, duplicates, truncated, foreign, refused } = counters;
      assert.deepEqual({ reordered, duplicates, truncated, foreign, refused }, { reordered: 0, duplicates: 0, truncated: 0, foreign: 0, refused: 0 });
    }));
  });

  test(`${name} one as long as can be arrives between small ones`, async (t) => {
    const { near, far } = await open(t, { place, codec });
    const longest = Math.min(place.longest?.() ?? Infinity, 3 << 20);
    const big = codec === 'raw' ? Buffer.alloc(longest, 'ab') : { number: -1, text: 'é'.repeat((longest - 100) / 2) };
    const sent = [make(1), big, make(2)];
    await near.say(sent);
    assert.deepEqual(await far.next(3), sent);
    if (place.ways === 'in') return;
    await far.say(sent);
    assert.deepEqual(await near.next(3), sent);
  });

  if (place.at !== undefined && place.ways === 'both') test(`${name} what is broadcast arrives, however much of it there is in a tick`, async (t) => {
    const { server, near } = await open(t, { place, codec });
    for (const count of [1, place.loses ? 50 : BURST, 1]) {
      const wanted = Array.from({ length: count }, (_, number) => make(number));
      for (const message of wanted) assert.equal(server.broadcast(message), 1);
      assert.deepEqual(await near.next(count), wanted);
    }
  });
}
