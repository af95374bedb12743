'use strict';
// A primary that a service manager has started, with sockets that are open already.

const assert = require('node:assert');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { test } = require('node:test');
const { get } = require('../helpers/cluster.js');
const { environment, fixture } = require('../helpers/modules.js');
const { leavesNothing, temporary } = require('../helpers/leavings.js');
const { happened } = require('../helpers/wait.js');

leavesNothing();

// As a service manager does: the sockets from number 3 on, and which process is meant.
function activated(handles, args) {
  const env = environment(false, { LISTEN_FDS: `${handles.length}`, RSIPC_RUN_DIR: path.join(temporary(), 'run') });
  const child = spawn('sh', ['-c', 'LISTEN_PID=$$ exec "$@"', 'sh', process.execPath, fixture('cluster/succeeds'), 'activated', '1', fixture('cluster/says-primary'), ...args], {
    env, stdio: ['ignore', 'inherit', 'inherit', ...handles.map(({ fd }) => fd), 'ipc'],
  });
  child.ended = happened(child, 'exit');
  return child;
}

test('a worker that listens where the service manager does gets that socket, whose file stays', async () => {
  const file = path.join(temporary(), 'socket');
  const handles = [net._createServerHandle('127.0.0.1', 0, 4), net._createServerHandle(file, -1, -1)];
  const name = {};
  handles[0].getsockname(name);
  const { port } = name;
  const child = activated(handles, [`${port}`, file]);
  let count = 0;
  await new Promise((resolve) => {
    child.on('message', ([what]) => { if (what === 'listening' && ++count === 2) resolve(); });
  });
  const { ino } = fs.statSync(file);
  assert.strictEqual(await get(port), `${child.pid}`);
  assert.strictEqual(await get(file), `${child.pid}`);
  child.send('stop');
  await child.ended;
  assert.strictEqual(fs.statSync(file).ino, ino);
  for (const handle of handles) handle.close();
});
