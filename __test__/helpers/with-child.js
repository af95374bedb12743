'use strict';
// A child for the length of a test.

const { rsipc, fixture, environment } = require('./modules.js');
const { happened, within } = require('./wait.js');

// Forks the fixture `program`, runs `use(child)`, and ends the child whatever came of it.
async function withChild(use, { args = [], program = 'fork/ours', environment: more, ...options } = {}) {
  const child = rsipc.fork(fixture(program), args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], env: environment(false, more), ...options });
  const exited = happened(child, 'exit');
  try {
    await within(use(child), 'the test');
  } finally {
    if (child.connected) child.disconnect();
    await exited;
  }
}

module.exports = { withChild };
