'use strict';
// Which children get the preloaded file, and which are asked whether they are rsipc.
//
// A file that cannot be read ends the child before its program has begun, so whatever might stand in the way of reading
// it is a reason to do without.

const fs = require('node:fs');
const path = require('node:path');

const FILE = path.join(__dirname, 'preload.js');

// Flags under which files are not read freely, addons are not loaded, another process does the work, or which stand
// in files that nobody has read yet.
const IN_THE_WAY = /^--((experimental-)?(permission|policy)|no-addons|watch|(build-)?snapshot|env-file|experimental-(default-)?config-file)/;

// Whether this is Node, run from a file of its own: `node:sea` takes milliseconds to load, so it is asked last.
const NODE = /^node(js)?[\d.-]*$/;
const { versions } = process;
const inNode = versions.bun === undefined && versions.deno === undefined;
const fromFiles = inNode && versions.electron === undefined && process.pkg === undefined && process.__nexe === undefined &&
  !/\.(asar|zip)[\\/]|^\/snapshot\//.test(FILE) && (NODE.test(path.basename(process.execPath)) || !isSingleExecutable());

function isSingleExecutable() {
  try {
    return require('node:sea').isSea();
  } catch {
    return false; // a Node that knows no such thing
  }
}

// The path by which the child knows the file, or null while there is no such file.
function realPath(file = FILE) {
  try {
    return fs.realpathSync(file);
  } catch {
    return null;
  }
}

function variable(envPairs, name) {
  return envPairs.find((pair) => String(pair).startsWith(`${name}=`))?.slice(name.length + 1);
}

// The path of `file`, if it can be preloaded into the child that `options` of ChildProcess.prototype.spawn describe, or
// null. `fork` alone passes its `execPath` on.
function readable(wanted, { execPath, file, args, envPairs, uid, gid }) {
  if (!fromFiles || execPath !== process.execPath || file !== execPath || process.permission !== undefined) return null;
  if (!Array.isArray(args) || !Array.isArray(envPairs) || (uid ?? gid ?? null) !== null) return null; // another user may not read what we can
  if (variable(envPairs, 'RSIPC_DISABLE') === '1') return null;
  const flags = variable(envPairs, 'NODE_OPTIONS')?.split(/[\s"]+/) ?? [];
  return [...args, ...flags].some((flag) => IN_THE_WAY.test(flag)) ? null : realPath(wanted);
}

// What makes the child's channel ours when there is much to send.
function preloadFor(options) {
  const isWorker = Array.isArray(options.envPairs) && variable(options.envPairs, 'NODE_UNIQUE_ID') !== undefined;
  return isWorker ? null : readable(FILE, options); // a cluster's worker: little but handles
}

// Whether the child may be rsipc. A program in another language is not asked: it need not expect messages of ours.
function mayBeOurs({ file }) {
  return inNode && (file === process.execPath || NODE.test(path.basename(String(file))));
}

module.exports = { realPath, readable, preloadFor, mayBeOurs };
