'use strict';

// What comes before a measurement, alike for everybody: V8 has compiled what the messages need at both ends, and a
// channel that leaves the socket by itself when it is busy has done so.

const { setTimeout: sleep } = require('node:timers/promises');

/** How often all messages are sent before they are measured: V8 goes on compiling for about a million small ones. */
const REPEATS = 3;

/** Milliseconds without messages. A channel that has become busy answers in them. */
const PEACE = 20;

/**
 * Runs `once(total)`: first with a third of the messages, then, after some peace, with all of them, some times over. `settle(child)`
 * waits for what a contender may have to wait for.
 */
async function warmUp(settle, total, once, ...children) {
  await once(Math.ceil(total / 3));
  await sleep(PEACE);
  if (settle) await Promise.all(children.map(settle));
  for (let i = 0; i < REPEATS; i++) await once(total);
}

module.exports = { warmUp };
