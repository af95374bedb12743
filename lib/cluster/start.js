'use strict';
// Starts the process of a worker.

const { fork } = require('../fork/index.js');
const { kChannel, OPTIONS } = require('../fork/settings.js');
const { node } = require('../errors.js');

const INSPECT = /--inspect(?:-brk|-port)?|--debug-port/;
const [LOWEST_PORT, HIGHEST_PORT] = [1024, 65_535];

// What is handed to `fork` as it stands.
const PASSED_ON = ['cwd', 'serialization', 'silent', 'windowsHide', 'stdio', 'uid', 'gid'];

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

// `onChannel` is called with the native channel before anybody reads it.
function start(id, settings, variables, onChannel) {
  const env = { ...process.env, ...variables, NODE_UNIQUE_ID: `${id}` };
  const execArgv = [...settings.execArgv];
  const flagged = execArgv.some((flag) => INSPECT.test(flag)) || INSPECT.test(process.env.NODE_OPTIONS ?? '');
  if (flagged) execArgv.push(`--inspect-port=${inspectPort(settings.inspectPort)}`);
  const options = { env, execArgv };
  for (const name of PASSED_ON) options[name] = settings[name];
  for (const name of OPTIONS) if (Object.hasOwn(settings, name)) options[name] = settings[name];
  // Workers are asked for nothing but what Node's protocol has.
  options.transport = 'socket';
  options[kChannel] = onChannel;
  return fork(settings.exec, settings.args, options);
}

module.exports = { start };
