'use strict';

// Preloaded into every client, next to rsipc/register. It writes down, for each child process
// that has a channel, whose channel that is. It only watches: Node publishes each new
// ChildProcess on a diagnostics channel, so nothing is patched and no import order matters.

const { appendFileSync } = require('node:fs');
const { subscribe } = require('node:diagnostics_channel');

const journal = process.env.CLIENTS_JOURNAL;

/** rsipc marks the children it attached a channel to. */
function belongsToRsipc(child) {
  return Symbol.for('rsipc.channel') in child;
}

/**
 * Node keeps its own channel under a private symbol, in every release from 20 on. A mark alone
 * could sit beside Node's channel; its absence here cannot be faked by a mark.
 */
function belongsToNode(child) {
  return Object.getOwnPropertySymbols(child).some((symbol) => symbol.description === 'kChannelHandle');
}

subscribe('child_process', ({ process: child }) => {
  // The message is published by the constructor; fork and spawn attach the channel before they
  // return, and the next tick comes after that.
  process.nextTick(() => {
    if (typeof child.send !== 'function') return;
    // One short append per child, at once: clients kill their workers, and a killed process has
    // no exit hook to write from.
    appendFileSync(journal, `${JSON.stringify({
      parent: process.pid,
      rsipc: belongsToRsipc(child),
      node: belongsToNode(child),
    })}\n`);
  });
});
