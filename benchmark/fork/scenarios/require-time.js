'use strict';

// Milliseconds that `require` of the module takes in a process that has loaded nothing else; the
// median of several processes.

const { spawnSync } = require('node:child_process');

const PROGRAM = `
  const from = performance.now();
  require(process.argv[1]);
  process.stdout.write(String(performance.now() - from));
`;

async function requireTime({ moduleName, total }) {
  const times = [];
  while (times.length < total) {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', PROGRAM, moduleName], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`require('${moduleName}') failed: ${stderr}`);
    times.push(Number(stdout));
  }
  return times.sort((a, b) => a - b)[times.length >> 1];
}

module.exports = requireTime;
