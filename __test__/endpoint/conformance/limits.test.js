'use strict';
// What is too much: for an endpoint, for `maxMessageSize`, for `maxDepth`, for who reads.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { leavesNothing } = require('../../helpers/leavings.js');
const { until } = require('../../helpers/wait.js');
const { CODECS } = require('../places.js');
const { combinations } = require('./endpoints.js');
const { open } = require('./ends.js');

leavesNothing();

const sized = (codec, size) => (codec === 'raw' ? Buffer.alloc(size, 'x') : { number: 1, text: 'x'.repeat(size) });

// Sends what breaks a rule, then a good message, and asserts that the endpoint does with both what it promises.
async function isBad(t, { place, codec }, options, bad, code) {
  const { make } = CODECS[codec];
  const { server, connection, near, far, accepted } = await open(t, { place, codec }, { server: options });
  const told = [];
  server?.on('clientError', (error, ended) => told.push([error.code, ended]));
  await near.say([bad]);
  if (place.bad === 'ends') {
    assert.equal(await far.ended(), code);
    if (place.ends === 'told') await near.ended();
    if (server === undefined) return;
    assert.deepEqual(told.map(([which, { closed }]) => [which, closed]), [[code, true]]);
    if (place.ends === 'told') return;
    const next = await accepted(); // writers are not told, so somebody has to take what they write
    await near.say([make(2)]);
    assert.deepEqual(await next.next(1), [make(2)]);
    return;
  }
  await near.say([make(2)]);
  assert.deepEqual(await far.next(1), [make(2)]);
  assert.equal(connection.connected, true);
  const { truncated, foreign } = await far.datagrams() ?? {};
  const { datagrams } = server;
  if (place.bad === 'aside') assert.deepEqual(told, [[code, null]]);
  else assert.equal(truncated + foreign + datagrams.truncated + datagrams.foreign, 1);
}

for (const { name, place, codec } of combinations()) {
  const { make } = CODECS[codec];
  const outcome = place.bad === 'ends' ? 'ends the connection and is named' : `is ${place.bad === 'counted' ? 'counted' : 'put aside'}, and harms no other`;

  test(`${name} a message above maxMessageSize ${outcome}`, async (t) => {
    await isBad(t, { place, codec }, { maxMessageSize: 10_000 }, sized(codec, 20_000), 'ERR_RSIPC_MESSAGE_TOO_LARGE');
  });

  if (codec !== 'raw') test(`${name} nesting beyond maxDepth ${outcome}`, async (t) => {
    let deep = [];
    for (let i = 0; i < 1_000; i++) deep = [deep];
    await isBad(t, { place, codec }, {}, deep, 'ERR_RSIPC_TOO_DEEP');
  });

  test(`${name} the limit is a message's, however many are sent in a tick`, async (t) => {
    const { near, far } = await open(t, { place, codec }, { maxMessageSize: 1_000 });
    const many = place.loses ? 50 : 2_500;
    await Promise.all([far.counted(many), near.burst(many)]);
    if (place.ways === 'both') await Promise.all([near.counted(many), far.burst(many)]);
  });

  if (place.longest !== undefined) test(`${name} a message longer than any it carries is refused where it is sent, with the limit`, async (t) => {
    const { server, connection, near, far } = await open(t, { place, codec });
    const limit = place.longest();
    const error = { code: 'ERR_RSIPC_MESSAGE_TOO_LARGE', message: new RegExp(`than the ${limit} that`) };
    const long = sized(codec, limit + 1);
    assert.throws(() => connection.send(long), error);
    assert.throws(() => server.broadcast(long), error);
    await near.say([make(1)]);
    assert.deepEqual(await far.next(1), [make(1)]);
  });

  if (!place.loses) test(`${name} who does not read makes the sender wait, and nothing is lost`, { timeout: 60_000 }, async (t) => {
    const mark = 50_000;
    const { connection, near, far } = await open(t, { place, codec }, { client: { highWaterMark: mark, maxFiles: 64 } });
    await far.pause();
    let sent = 0;
    let waited = false;
    let resumed = false;
    const body = sized(codec, 10_000);
    // Enough to fill every buffer on the way, and a little behind it.
    const sending = (async () => {
      for (let behind = 0; behind < 10; sent++) {
        const room = connection.send(body);
        waited ||= connection.queued > mark;
        if (resumed) behind++;
        await room;
      }
    })();
    await until(() => waited, 'the sender to wait');
    assert.ok(await near.waiting() < mark + 100_000);
    resumed = true;
    await far.resume();
    await sending;
    const got = await far.next(sent);
    for (const message of got) assert.equal((codec === 'raw' ? message : message.text).length, 10_000);
  });
  else test(`${name} what comes while it is not read is refused and counted`, async (t) => {
    const { near, far } = await open(t, { place, codec });
    await far.pause();
    await near.say([make(1), make(2), make(3)]);
    await until(async () => (await far.datagrams()).refused === 3, 'three to be refused');
    await far.resume();
    await near.say([make(4)]);
    assert.deepEqual(await far.next(1), [make(4)]);
  });
}
