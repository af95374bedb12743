'use strict';
// `rsipc.parent`: the child's side of the channel.

const { isMainThread } = require('node:worker_threads');

let found = null;

// The channel of this process to its parent, which becomes ours with the first call; undefined
// when there is none.
function parent() {
  if (found === null) {
    if (!isMainThread) {
      found = require('./thread-parent.js').threadParent() ?? null;
    } else if (typeof process.send === 'function') {
      const link = require('./takeover.js').parentLink();
      if (link !== null) {
        const { Parent } = require('./main-parent.js');
        found = new Parent(link);
        require('./thread-parent.js').serveThreads(process);
      }
    }
  }
  return found ?? undefined;
}

module.exports = { parent };
