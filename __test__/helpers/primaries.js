'use strict';
// Primaries that are processes of their own, one in the place of another.

const { fork } = require('node:child_process');
const { environment, fixture } = require('./modules.js');
const { happened, until } = require('./wait.js');

// Starts one; `heard` is what it has told so far.
function start(name, count, args, { worker = 'says-primary', program = 'succeeds', variables = {}, directory } = {}) {
  const env = environment(false, { ...(directory !== undefined && { RSIPC_RUN_DIR: directory }), ...variables });
  const child = fork(fixture(`cluster/${program}`), [name, `${count}`, fixture(`cluster/${worker}`), ...args], { env });
  const primary = { child, pid: child.pid, heard: [] };
  child.on('message', (message) => primary.heard.push(message));
  primary.ended = happened(child, 'exit');
  primary.says = async (what) => {
    await until(() => primary.heard.some(([said]) => said === what) || child.exitCode !== null || child.signalCode !== null, `${what}`);
    const found = primary.heard.find(([said]) => said === what);
    if (found === undefined) throw new Error(`it ended without '${what}': ${JSON.stringify(primary.heard)}`);
    return found[1];
  };
  primary.stop = () => {
    if (child.connected) child.send('stop');
    return primary.ended;
  };
  return primary;
}

module.exports = { start };
