'use strict';
// Where a named run is to be found: its control socket, and its log.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { rsipc } = require('../errors.js');
const { UsageError } = require('./options.js');

const NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/;
const ENDING = '.sock';
const LONGEST_PATH = 107; // what a socket's address holds

function checkName(name) {
  if (!NAME.test(name)) {
    throw new UsageError(`a name has letters, digits, '.', '_' and '-', no dot or dash in front, and at most 64 of them; this is ${JSON.stringify(name)}`);
  }
  return name;
}

// The name of a run that was given none: that of its script, or of the directory whose main script it is.
function nameOf(script) {
  let { name } = path.parse(script);
  if (name === 'index') name = path.basename(path.dirname(script));
  return name.replace(/[^A-Za-z0-9._-]/g, '-').replace(/^[.-]+/, '').slice(0, 64) || 'app';
}

// In the run directory, which belongs to this user alone: the native part makes it and looks.
function runs() {
  const native = require('../binding.js');
  if (native.listShared === undefined) throw rsipc.notAvailable('a run with a name');
  return path.join(native.listShared().directory, 'run');
}

function socketOf(name) {
  const file = path.join(runs(), `${name}${ENDING}`);
  if (Buffer.byteLength(file) > LONGEST_PATH) {
    throw rsipc.shared('ERR_RSIPC_INVALID_NAME', 'the control socket', `${file} is longer than ${LONGEST_PATH} bytes; choose a shorter name or another RSIPC_RUN_DIR`);
  }
  return file;
}

function names() {
  try {
    return fs.readdirSync(runs()).filter((file) => file.endsWith(ENDING)).map((file) => file.slice(0, -ENDING.length)).sort();
  } catch (error) {
    if (error.code === 'ENOENT') return []; // nothing has ever run
    throw error;
  }
}

function logDirectory() {
  const { XDG_STATE_HOME: state } = process.env;
  return path.join(state !== undefined && path.isAbsolute(state) ? state : path.join(os.homedir(), '.local', 'state'), 'rsipc', 'log');
}

const logOf = (name, directory = logDirectory()) => path.join(directory, `${name}.log`);

module.exports = { checkName, nameOf, socketOf, names, logOf };
