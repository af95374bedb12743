'use strict';
// The native binding, or an empty object where it cannot be loaded. Then everything that can be Node's
// own stays Node's own, and a warning says why and what to do: a program is never stopped by its addon.

// Both halves are built from one commit: what they tell each other has no other version.
const VERSION = '0.1.0';

let native;
try {
  native = require('./native.js');
  if (native.BINDING_VERSION !== VERSION) {
    throw new Error(`rsipc ${VERSION} found the binary of version ${native.BINDING_VERSION}`);
  }
} catch (error) {
  native = {};
  process.emitWarning(explain(error), { type: 'RsipcWarning', code: 'RSIPC_NO_BINDING' });
}

// Why there is no binding: the platform, the package that would hold it, and how to get it.
function explain(error) {
  const { platform, arch, report } = process;
  const glibc = platform !== 'linux' || Boolean(report?.getReport?.().header.glibcVersionRuntime);
  const libc = platform === 'linux' ? (glibc ? '-gnu' : '-musl') : platform === 'win32' ? '-msvc' : '';
  let reason = error;
  while (reason.cause instanceof Error && reason.code !== 'ERR_DLOPEN_DISABLED') reason = reason.cause;
  const first = String(reason.message).split('\n')[0];
  return `rsipc runs without its native part, so child_process is Node's own. It is looked for in the package ` +
    `rsipc-${platform}-${arch}${libc} (${first}). If that package is missing, install rsipc again with optional ` +
    'dependencies: npm install --include=optional rsipc';
}

module.exports = native;
module.exports.VERSION = VERSION;
