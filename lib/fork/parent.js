'use strict';
// `rsipc.parent`: the child's side of the channel.

const { isMainThread } = require('node:worker_threads');
const { kLink } = require('./attach.js');

let found = null;

// The channel of this process to its parent, which becomes ours with the first call; undefined
// when there is none. `limits` are settings other than the defaults for a channel that becomes ours.
function parent(limits) {
  if (found === null) {
    if (!isMainThread && process[kLink] === undefined) {
      found = require('./thread-parent.js').threadParent() ?? null;
    } else if (typeof process.send === 'function') {
      const link = require('./takeover.js').parentLink(limits);
      if (link !== null) {
        const { Parent } = require('./main-parent.js');
        found = new Parent(link);
        if (isMainThread) require('./thread-parent.js').serveThreads(process);
      }
    }
  }
  return found ?? undefined;
}

module.exports = { parent };
