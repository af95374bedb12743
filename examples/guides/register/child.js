// A program, or a library in it, that has never heard of rsipc.
const { fork } = require('node:child_process');

if (process.argv[2] !== 'forked') {
  const child = fork(__filename, ['forked']);
  process.stdout.write(`requests: ${typeof child.request}\n`);
}
