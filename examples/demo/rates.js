'use strict';

// Messages per second of 64 B each, for two kinds of fork in turns: what slows the machine down
// for a moment slows both.

const path = require('node:path');
const { FIRST, flood, message } = require('./message.js');

const PEER = path.join(__dirname, 'peer.js');
const ROUNDS = 9;

/** Seconds one round shall take. */
const ROUND = 0.11;

const RUNS = [
  { what: 'parent → child', run: toChild, trial: 10_000 },
  { what: 'child → parent', run: toParent, trial: 10_000 },
  { what: 'round trip', run: roundTrip, trial: 2_000 },
];

/** Resolves to rows `{ what, ours, theirs, ratio }`: medians, and the median of the ratios within rounds. */
async function measureRates({ ours, theirs }) {
  const peers = [ours(PEER), theirs(PEER)];
  const rows = [];
  for (const { what, run, trial } of RUNS) {
    const totals = [];
    // The first run only warms up and says how many messages fill a round.
    for (const peer of peers) totals.push(Math.ceil(await rate(run, peer, trial) * ROUND));
    const rounds = [];
    for (let round = 0; round < ROUNDS; round++) {
      const pair = [];
      for (const side of round % 2 ? [1, 0] : [0, 1]) pair[side] = await rate(run, peers[side], totals[side]);
      rounds.push(pair);
    }
    rows.push({
      what,
      ours: median(rounds.map(([a]) => a)),
      theirs: median(rounds.map(([, b]) => b)),
      ratio: median(rounds.map(([a, b]) => a / b)),
    });
  }
  for (const peer of peers) peer.disconnect();
  return rows;
}

async function rate(run, peer, total) {
  const began = performance.now();
  await run(peer, total);
  return total / ((performance.now() - began) / 1000);
}

/** Sends `total` messages; done when the child has counted them all. */
async function toChild(peer, total) {
  const counted = new Promise((resolve) => peer.once('message', resolve));
  peer.send({ task: 'count', total });
  flood(peer, total);
  const answer = await counted;
  if (answer.counted !== total) throw new Error(`the child counted ${answer.counted} of ${total} messages in order`);
}

/** Has the child send `total` messages and counts them. */
function toParent(peer, total) {
  peer.send({ task: 'flood', total });
  return inOrder(peer, total, () => {});
}

/** `total` times there and back, one message under way. */
function roundTrip(peer, total) {
  peer.send({ task: 'echo' });
  peer.send(message(0));
  return inOrder(peer, total, (next) => peer.send(message(next)));
}

/** Resolves when `total` messages have come in order; `got(next)` is called after each but the last. */
function inOrder(peer, total, got) {
  return new Promise((resolve, reject) => {
    let next = 0;
    peer.on('message', function count({ seq }) {
      if (seq !== FIRST + next) return reject(new Error(`message ${next} came as ${seq - FIRST}`));
      next++;
      if (next < total) return got(next);
      peer.removeListener('message', count);
      resolve();
    });
  });
}

function median(values) {
  return values.sort((a, b) => a - b)[values.length >> 1];
}

module.exports = { measureRates };
