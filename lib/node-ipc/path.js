'use strict';
// A path as the system wants it: a socket's file, or the name of a Windows pipe.

function pipePath(path) {
  if (process.platform !== 'win32' || path.startsWith('\\\\.\\pipe\\')) return path;
  return `\\\\.\\pipe\\${path.replace(/^\//, '').replaceAll('/', '-')}`;
}

module.exports = { pipePath };
