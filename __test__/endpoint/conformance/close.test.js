'use strict';
// How a connection ends: in order, with everything that was accepted before.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { leavesNothing } = require('../../helpers/leavings.js');
const { CODECS } = require('../places.js');
const { combinations } = require('./endpoints.js');
const { open } = require('./ends.js');

leavesNothing();

const PATIENT = { closeTimeout: 60_000 };
const SOME = 500;
const numbers = (count) => Array.from({ length: count }, (_, number) => number);

for (const { name, place, codec } of combinations()) {
  const { make, number } = CODECS[codec];
  const some = place.loses ? 50 : SOME; // a burst that no buffer is too small for

  test(`${name} what was sent before close() arrives${place.ends === 'told' ? ', and both ends hear \'close\'' : ''}`, async (t) => {
    const idle = place.ends === 'silence' ? { server: { idleTimeout: place.unit === 'files' ? 2_000 : 300 } } : {}; // a disk has its own time
    const { server, near, far } = await open(t, { place, codec }, { ...PATIENT, ...idle });
    const arrived = far.next(some);
    await near.burst(some);
    await near.close();
    assert.equal(await near.ended(), null);
    assert.deepEqual((await arrived).map(number), numbers(some));
    // Who hears nothing of it takes the silence for the end, or has one connection for all who ever come.
    if (place.ends === 'never') await server.close();
    assert.equal(await far.ended(), null);
    assert.equal(await near.refused(make(0)), 'ERR_RSIPC_CLOSED');
  });

  if (place.ways === 'both') {
    test(`${name} what the far end sent before it closed arrives`, async (t) => {
      const { near, far } = await open(t, { place, codec }, PATIENT);
      const arrived = near.next(some);
      await far.burst(some);
      await far.close();
      assert.deepEqual((await arrived).map(number), numbers(some));
      assert.equal(await far.refused(make(0)), 'ERR_RSIPC_CLOSED');
      if (place.ends !== 'told') return;
      assert.equal(await near.ended(), null);
      assert.equal(await near.refused(make(0)), 'ERR_RSIPC_CLOSED');
    });
  }

  if (place.ways === 'both' && place.ends === 'told') {
    test(`${name} what was sent before close() arrives also while the other end is sending`, async (t) => {
      const { near, far } = await open(t, { place, codec }, PATIENT);
      await far.chatter(10);
      const arrived = far.next(SOME);
      await near.burst(SOME);
      await near.close();
      assert.deepEqual((await arrived).map(number), numbers(SOME));
      assert.equal(await far.ended(), null);
    });

    test(`${name} an end that goes without a word is told with a reason where there are farewells`, async (t) => {
      const { near, far } = await open(t, { place, codec }, PATIENT);
      await far.destroy();
      const told = place.greets && codec !== 'lines' && codec !== 'lsp';
      assert.equal(await near.ended(), told ? 'ERR_RSIPC_PEER_GONE' : null);
    });
  }
}
