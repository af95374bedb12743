'use strict';
// What an endpoint does with requests, and with what it cannot do: it says so, with a code.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { leavesNothing } = require('../../helpers/leavings.js');
const { CODECS } = require('../places.js');
const { ALL, ENDPOINTS, combinations } = require('./endpoints.js');
const { open, client, joined } = require('./ends.js');
const { serve, connect } = require('../../../index.js');

leavesNothing();

const MANY = 300;

for (const { name, place, codec } of combinations()) {
  const { make } = CODECS[codec];
  const jsonRpc = codec === 'lines' ? { jsonRpc: true } : {};

  if (place.requests.includes(codec)) test(`${name} requests are answered, also many at once, both ways`, async (t) => {
    const { near, far } = await open(t, { place, codec }, jsonRpc);
    await Promise.all([near.answer(), far.answer()]);
    assert.deepEqual(await Promise.all([near.ask(MANY), far.ask(MANY)]), [MANY, MANY]);
  });
  else test(`${name} a request is refused: no answer is sure to come`, async (t) => {
    const { connection } = await open(t, { place, codec });
    await assert.rejects(connection.request('echo', make(1)), { code: 'ERR_RSIPC_NO_REQUESTS' });
    if (codec === 'lines' && place.requests.length === 0) {
      for (const begin of [serve, connect]) await assert.rejects(begin(place.at(t), { codec, ...jsonRpc }), { code: 'ERR_INVALID_ARG_VALUE', message: /jsonRpc/ });
    }
  });

  if (place.ways === 'in') test(`${name} who serves cannot send`, async (t) => {
    const { server, far } = await open(t, { place, codec });
    assert.equal(await far.refused(make(1)), 'ERR_RSIPC_ONE_WAY');
    assert.throws(() => server.broadcast(make(1)), { code: 'ERR_RSIPC_ONE_WAY' });
  });
}

for (const [name, place] of Object.entries(ENDPOINTS)) {
  for (const codec of ALL.filter((one) => !place.codecs.includes(one))) {
    test(`${name} ${codec}: the codec is refused, by both ends`, async (t) => {
      const options = { codec, ...place.serve?.() };
      for (const begin of [serve, connect]) await assert.rejects(begin(place.at(t), options), { code: 'ERR_INVALID_ARG_VALUE', message: /options\.codec/ });
    });
  }

  if (place.greets && place.program === undefined) test(`${name} a client of another codec is refused with the names of both`, async (t) => {
    const names = (error) => error.code === 'ERR_RSIPC_CODEC' && /'json'/.test(error.message) && /'v8'/.test(error.message);
    const options = place.connect?.();
    if (place.joined) {
      const [one, other] = joined();
      await Promise.all([assert.rejects(connect(one, { codec: 'json' }), names), assert.rejects(connect(other, { codec: 'v8' }), names)]);
      return;
    }
    const server = await serve(place.at(t), { codec: 'json', ...place.serve?.() });
    t.after(() => server.close());
    await assert.rejects(client(t, server.address(), { codec: 'v8', ...options }), names);
  });
}
