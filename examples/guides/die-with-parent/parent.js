const { fork, spawn } = require('rsipc');

if (process.argv[2] === 'doomed') {
  const child = fork(`${__dirname}/child.js`, { dieWithParent: true });
  child.on('message', () => process.kill(process.pid, 'SIGKILL')); // no handler of ours can run
} else {
  const doomed = spawn(process.execPath, [__filename, 'doomed'], { stdio: ['ignore', 'pipe', 'inherit'] });
  doomed.stdout.pipe(process.stdout);
  doomed.on('exit', (code, signal) => console.log('parent:', signal)); // → parent: SIGKILL
  // 'close' comes when nobody holds the other end of stdout any more, the child included.
  doomed.on('close', () => console.log('the child is gone too')); // → the child is gone too
}
