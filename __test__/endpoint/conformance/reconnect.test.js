'use strict';
// A server that goes and comes back, and what that is for its clients.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { leavesNothing } = require('../../helpers/leavings.js');
const { happened } = require('../../helpers/wait.js');
const { CODECS } = require('../places.js');
const { combinations } = require('./endpoints.js');
const { open } = require('./ends.js');
const { connect } = require('../../../index.js');

leavesNothing();

const reconnect = { min: 5, max: 20 };
const SOME = 100;

for (const { name, place, codec } of combinations()) {
  const { make } = CODECS[codec];
  const messages = Array.from({ length: SOME }, (_, number) => make(number));

  if (place.returns === 'again' || place.returns === 'sending') {
    test(`${name} a server that goes and comes back is found again, with what was sent meanwhile`, async (t) => {
      const { connection, near, far: first, stop, again } = await open(t, { place, codec }, { client: { reconnect } });
      await near.say([make(0)]);
      await first.counted(1);
      const lost = happened(connection, 'disconnect');
      const back = happened(connection, 'reconnect');
      await stop();
      // Nobody tells who sends datagrams; the next one finds nobody.
      if (place.returns === 'sending') await near.say([make(0)]);
      await lost;
      if (place.program === undefined) assert.equal(connection.connecting, true); // elsewhere the socket is open all the time
      await near.say(messages);
      const far = await again();
      await Promise.all([far.counted(SOME), back]);
      await Promise.all([near.counted(SOME), far.say(messages)]);
      assert.equal(connection.connected, true);
    });
  }

  if (place.returns === 'kept') {
    test(`${name} what is sent while there is no server is there for the next one`, async (t) => {
      const { connection, near, stop, again } = await open(t, { place, codec });
      await stop();
      await near.say(messages);
      const far = await again();
      await far.counted(SOME);
      assert.equal(connection.connected, true);
    });
  }

  if (place.returns === 'unaware') {
    test(`${name} a server that goes and comes back hears what is sent from then on`, async (t) => {
      const { connection, near, stop, again } = await open(t, { place, codec });
      await stop();
      await near.say([make(0)]);
      let found = false;
      const far = again().finally(() => { found = true; });
      while (!found) {
        await near.say([make(1)]);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      assert.deepEqual(await (await far).next(1), [make(1)]);
      await (await far).say([make(2)]);
      assert.deepEqual(await near.next(1), [make(2)]);
      assert.equal(connection.connected, true);
    });
  }

  if (place.returns === 'once') {
    test(`${name} there is nobody to connect to again, so 'reconnect' is refused`, async () => {
      const { Duplex } = require('node:stream');
      const target = place.program ?? new Duplex({ read() {}, write() {} });
      await assert.rejects(connect(target, { codec, reconnect }), { code: 'ERR_INVALID_ARG_VALUE', message: /reconnect/ });
    });
  }
}
