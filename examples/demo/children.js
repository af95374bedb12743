'use strict';

// Remembers every child process, so that none outlives the demo.

const alive = new Set();

/** The given `fork`, with a memory. */
function forkWith(fork) {
  return (file) => {
    const child = fork(file);
    alive.add(child);
    child.once('exit', () => alive.delete(child));
    return child;
  };
}

function killAll() {
  for (const child of alive) child.kill('SIGKILL');
  alive.clear();
}

module.exports = { forkWith, killAll };
