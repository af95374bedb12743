'use strict';
// Primaries that are processes of their own, one in the place of another.

const { fork } = require('node:child_process');
const { environment, fixture } = require('./modules.js');
const { until, within } = require('./wait.js');

// Starts one; `heard` is what it has told so far.
function start(name, count, args, { worker = 'says-primary', program = 'succeeds', variables = {}, directory } = {}) {
  const env = environment(false, { ...(directory !== undefined && { RSIPC_RUN_DIR: directory }), ...variables });
  const child = fork(fixture(`cluster/${program}`), [name, `${count}`, fixture(`cluster/${worker}`), ...args], { env });
  const exited = new Promise((resolve) => child.once('exit', (...how) => resolve(how)));
  const primary = {
    child,
    pid: child.pid,
    heard: [],
    // A primary may live as long as its test: the watchdog begins with who waits for its end.
    get ended() {
      return within(exited, 'the end of a primary');
    },
  };
  child.on('message', (message) => primary.heard.push(message));
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
