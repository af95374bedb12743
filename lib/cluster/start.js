'use strict';
// Starts the process of a worker.

const path = require('node:path');
const { fork } = require('../fork/index.js');
const { kChannel, kPreload, OPTIONS } = require('../fork/settings.js');
const { node } = require('../errors.js');

const INSPECT = /--inspect(?:-brk|-port)?|--debug-port/;
const [LOWEST_PORT, HIGHEST_PORT] = [1024, 65_535];

// What is handed to `fork` as it stands.
const PASSED_ON = ['cwd', 'serialization', 'silent', 'windowsHide', 'stdio', 'uid', 'gid', 'detached'];

let portsGiven = 0;

// The next port for an inspector. `wanted` is a number, or a function that answers one.
function inspectPort(wanted) {
  let port = typeof wanted === 'function' ? wanted() : wanted;
  if (port === undefined || port === null && typeof wanted !== 'function') {
    port = process.debugPort + ++portsGiven;
    while (port > HIGHEST_PORT) port += LOWEST_PORT - 1 - HIGHEST_PORT;
  }
  const number = typeof port === 'string' && port.trim() !== '' ? Number(port) : port;
  if (typeof number !== 'number' || number !== number >>> 0 || number > HIGHEST_PORT) throw node.badPort(port);
  return number;
}

const INSIDE = path.join(__dirname, 'inside.js');

// `report` is what the worker is to say of itself; `onChannel` is called with the native channel before anybody reads it.
function start(id, settings, variables, report, onChannel) {
  const env = { ...process.env, ...variables, NODE_UNIQUE_ID: `${id}` };
  if (settings.threads) return startThread(settings, env, report, onChannel);
  const execArgv = [...settings.execArgv];
  const flagged = execArgv.some((flag) => INSPECT.test(flag)) || INSPECT.test(process.env.NODE_OPTIONS ?? '');
  if (flagged) execArgv.push(`--inspect-port=${inspectPort(settings.inspectPort)}`);
  const options = { env, execArgv };
  for (const name of PASSED_ON) options[name] = settings[name];
  for (const name of OPTIONS) if (Object.hasOwn(settings, name)) options[name] = settings[name];
  // Workers are asked for nothing but what Node's protocol has.
  options.transport = 'socket';
  options[kChannel] = onChannel;
  options[kPreload] = { file: INSIDE, variables: { RSIPC_CLUSTER: report } };
  return fork(settings.exec, settings.args, options);
}

function startThread({ exec, args, execArgv, silent, serialization, ...settings }, env, report, onChannel) {
  const { ThreadProcess } = require('./thread.js');
  const options = { serialization, transport: 'socket' };
  for (const name of OPTIONS) if (Object.hasOwn(settings, name) && name !== 'transport') options[name] = settings[name];
  // What this process has been started with a thread has anyway, as far as it may.
  const own = execArgv === process.execArgv ? undefined : execArgv;
  return new ThreadProcess({ exec, args, execArgv: own, env, silent: silent === true, report, options }, onChannel);
}

module.exports = { start };
