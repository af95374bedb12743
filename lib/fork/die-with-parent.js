'use strict';
// Preloaded into a child that was forked with `dieWithParent`: the child ends when its parent does,
// however the parent ended.

const own = process.execArgv.indexOf(__filename);
if (own > 0) process.execArgv.splice(own - 1, 2); // neither the program nor its children see this file

const parent = Number(process.env.RSIPC_DIE_WITH);
delete process.env.RSIPC_DIE_WITH;

if (Number.isInteger(parent) && parent > 0 && require('node:worker_threads').isMainThread) {
  try {
    require('../binding.js').dieWith(parent);
  } catch {
    // The parent is gone already.
    process.kill(process.pid, 'SIGKILL');
  }
}
