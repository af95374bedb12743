'use strict';
// The broker dies, or leaves, and another member takes its place. `ROUNDS` says how often it is killed under load.

const { test } = require('node:test');
const assert = require('node:assert');
const path = require('node:path');
const readline = require('node:readline');
const { spawn } = require('node:child_process');
const { leavesNothing, ownRunDirectory, stopped } = require('../helpers/leavings.js');
const { happened, until, within } = require('../helpers/wait.js');
const { PLACES } = require('../endpoint/places.js');
const { openBus } = require('../../index.js');

leavesNothing();
ownRunDirectory();

const ROUNDS = Number(process.env.ROUNDS ?? 4);

// A child that is asked by lines and answers each.
function started(t, fixture, ...args) {
  const child = spawn(process.execPath, [path.join(__dirname, '../fixtures/bus', fixture), ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = readline.createInterface({ input: child.stdout });
  child.stdin.on('error', () => {}); // it was killed
  t.after(() => child.kill('SIGKILL'));
  return { child, lines, answer: async () => JSON.parse((await happened(lines, 'line'))[0]) };
}

async function told(member, line) {
  const answer = member.answer();
  member.child.stdin.write(`${line}\n`);
  return answer;
}

const asks = (member, ...words) => told(member, JSON.stringify(words));

async function member(t, endpoint) {
  const one = started(t, 'member.js', endpoint);
  await one.answer();
  return one;
}

test('a broker that is killed is followed by another, and who is left goes on', async (t) => {
  const endpoint = PLACES['rsipc:'](t);
  const broker = await member(t, endpoint);
  const all = [await openBus(endpoint), await openBus(endpoint)];
  t.after(() => Promise.all(all.map((bus) => bus.close())));
  const heard = [];
  await all[1].subscribe('x.*', (message) => heard.push(message));
  const back = all.map((bus) => happened(bus, 'reconnect'));
  const gone = happened(all[0], 'disconnect');
  broker.child.kill('SIGKILL');
  await gone;
  const meanwhile = all[0].publish('x.y', 'meanwhile');
  await Promise.all([...back, meanwhile]);
  assert.strictEqual(all.filter((bus) => bus.isBroker).length, 1);
  await all[0].publish('x.y', 'after');
  await until(() => heard.length === 2, 'both messages');
  assert.deepStrictEqual(heard, ['meanwhile', 'after']);
});

test('a broker that closes leaves its place at once, with what it had taken passed on', async (t) => {
  const endpoint = PLACES['unix:'](t);
  const broker = await openBus(endpoint);
  const [one, two] = [await openBus(endpoint), await openBus(endpoint)];
  t.after(() => Promise.all([one.close(), two.close()]));
  const heard = [];
  await two.subscribe('x', (message) => heard.push(message));
  const all = [];
  for (let number = 0; number < 100; number++) {
    all.push(one.publish('x', number));
    if (number === 50) {
      await all[0];
      all.push(broker.close());
    }
  }
  await Promise.all(all);
  await until(() => heard.length === 100, 'all messages');
  assert.deepStrictEqual(heard, Array.from({ length: 100 }, (_, number) => number));
});

test('retained values outlive the broker and the publisher where a subscriber has had them', async (t) => {
  const endpoint = PLACES['rsipc:'](t);
  const broker = await member(t, endpoint);
  const bus = await openBus(endpoint);
  t.after(() => bus.close());
  await bus.publish('mine', 1, { retain: true });
  const first = [];
  await bus.subscribe('its.*', (message) => first.push(message));
  await asks(broker, 'retain', 'its.old', 'a');
  await asks(broker, 'retain', 'its.old', 'b');
  await until(() => first.length === 2, 'the values');
  const back = happened(bus, 'reconnect');
  broker.child.kill('SIGKILL');
  await back;
  const late = await openBus(endpoint);
  t.after(() => late.close());
  const heard = [];
  await late.subscribe('**', (message, topic) => heard.push([topic, message]), { retained: true });
  await until(() => heard.length === 2, 'the retained values');
  assert.deepStrictEqual(heard, [['mine', 1], ['its.old', 'b']]);
  assert.strictEqual(first.length, 2); // who has had them is not told again
});

test('of a subscription the last broker knew, the next one tells what was published before it came back', async (t) => {
  const { connect } = require('../../index.js');
  const { encode, decode, KINDS } = require('../../lib/bus/wire.js');
  const bus = await openBus(PLACES['rsipc:'](t));
  t.after(() => bus.close());
  for (const number of [1, 2]) await bus.publish('x', number);
  await bus.publish('other', 3);
  const late = await connect(bus.endpoint, { codec: 'raw' });
  t.after(() => late.destroy());
  const frames = [];
  late.on('message', (bytes) => frames.push(decode(bytes)));
  late.send(encode(KINDS.HELLO, { version: 1, id: 'late' }));
  const asked = { pattern: 'x', retained: false, policy: 'drop-oldest', max: 1 };
  late.send(encode(KINDS.SUBSCRIBE, { ref: 1, ...asked, again: true }));
  late.send(encode(KINDS.SUBSCRIBE, { ref: 2, ...asked }));
  late.send(encode(KINDS.PUBLISH, { topic: 'end', seq: 1 }));
  await until(() => frames.at(-1)?.kind === KINDS.TAKEN, 'the acknowledgement');
  assert.deepStrictEqual(frames.filter(({ kind }) => kind === KINDS.MESSAGE).map(({ ref, head }) => [ref, head.seq]), [[1, 1], [1, 2]]);
});

test('what is published twice, on two connections, arrives once', async (t) => {
  const { connect } = require('../../index.js');
  const { encode, decode, KINDS } = require('../../lib/bus/wire.js');
  const bus = await openBus(PLACES['rsipc:'](t));
  t.after(() => bus.close());
  const heard = [];
  await bus.subscribe('x', (message) => heard.push(message));
  for (let attempt = 0; attempt < 2; attempt++) {
    const one = await connect(bus.endpoint, { codec: 'raw' });
    const taken = new Promise((resolve) => one.on('message', (bytes) => decode(bytes).kind === KINDS.TAKEN && resolve()));
    one.send(encode(KINDS.HELLO, { version: 1, id: 'same' }));
    one.send(encode(KINDS.PUBLISH, { topic: 'x', seq: 1 }, require('node:v8').serialize('once')));
    await within(taken, 'the acknowledgement');
    await one.close();
  }
  await bus.publish('x', 'end');
  await until(() => heard.includes('end'), 'the end');
  assert.deepStrictEqual(heard, ['once', 'end']);
});

// Answers what a subscriber has missed that was stopped when the broker was killed; null if that took so long that
// publishers need not have waited for it.
async function missed(t) {
  const endpoint = PLACES['rsipc:'](t);
  const all = [];
  for (let count = 0; count < 3; count++) {
    all.push(started(t, 'load.js', endpoint));
    await until(async () => (await told(all[count], 'report')).published > 100, 'it to publish');
  }
  const [broker, publisher, slow] = all;
  const { topic, published } = await told(publisher, 'report');
  await until(async () => (await told(slow, 'report')).last[topic] > published, 'it to be heard');
  const begin = performance.now();
  slow.child.kill('SIGSTOP');
  await stopped(slow.child.pid);
  // Much more than the kernel keeps, if nobody waits.
  let last;
  for (let now = published; now !== last && performance.now() - begin < 500;) {
    last = now;
    await new Promise((resolve) => setTimeout(resolve, 100));
    now = (await told(publisher, 'report')).published;
  }
  const gone = happened(broker.child, 'exit');
  broker.child.kill('SIGKILL');
  const time = performance.now() - begin;
  slow.child.kill('SIGCONT');
  await gone;
  const { published: then } = await told(publisher, 'report');
  await until(async () => (await told(slow, 'report')).last[topic] > then, 'it to hear of the next broker');
  const { wrong, dropped } = await told(slow, 'report');
  for (const { child } of all) child.kill('SIGKILL');
  return time > 900 ? null : { wrong, dropped };
}

test('a subscriber that was stopped for a moment when the broker was killed has missed nothing', { timeout: 120_000 }, async (t) => {
  let found = null;
  while (found === null) found = await missed(t);
  assert.deepStrictEqual(found, { wrong: [], dropped: 0 });
});

test('a broker killed under load loses no message of those who live, and none comes twice', { timeout: 60_000 + ROUNDS * 10_000 }, async (t) => {
  const endpoint = PLACES['rsipc:'](t);
  const start = () => started(t, 'load.js', endpoint);
  let all = [start(), start(), start()];
  const reports = () => Promise.all(all.map((one) => told(one, 'report')));
  // Everybody has heard everybody say something new.
  async function moved(since) {
    await until(async () => {
      const now = await reports();
      return now.filter(({ broker }) => broker).length === 1
        && now.every(({ last }) => now.every(({ topic }) => topic in last && last[topic] > (since.get(topic) ?? 0)));
    }, 'everybody to go on');
  }
  await moved(new Map());
  for (let round = 0; round < ROUNDS; round++) {
    const before = await reports();
    const victim = all[before.findIndex(({ broker }) => broker)];
    const ended = happened(victim.child, 'exit');
    victim.child.kill('SIGKILL');
    await ended;
    all = all.filter((one) => one !== victim);
    await moved(new Map((await reports()).map(({ topic, published }) => [topic, published])));
    for (const { wrong, dropped } of await reports()) assert.deepStrictEqual({ wrong, dropped }, { wrong: [], dropped: 0 }, `round ${round}`);
    all.push(start());
    await moved(new Map());
  }
  const final = await Promise.all(all.map((one) => told(one, 'stop')));
  await until(async () => (await reports()).every(({ last }) => final.every(({ topic, published }) => last[topic] === published)), 'the last messages');
  for (const { wrong, dropped } of await reports()) assert.deepStrictEqual({ wrong, dropped }, { wrong: [], dropped: 0 });
  const ends = all.map(({ child }) => happened(child, 'exit'));
  for (const { child } of all) child.stdin.end();
  for (const [code] of await Promise.all(ends)) assert.strictEqual(code, 0);
});
