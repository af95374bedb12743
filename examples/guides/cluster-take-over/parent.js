// Started twice: the second one takes the place of the first.
const { spawn } = require('node:child_process');
const cluster = require('rsipc/cluster');

cluster.setupPrimary({ exec: `${__dirname}/child.js` });
const taken = cluster.takeOver('guide.shop', { timeout: 10_000 });
cluster.fork().once('listening', async () => {
  const before = await taken;
  if (before === null) {
    console.log('nobody was before'); // → nobody was before
    cluster.once('replaced', () => console.log('somebody else accepts now')); // → somebody else accepts now
    spawn(process.execPath, [__filename], { stdio: 'inherit' });
  } else {
    console.log('in its place:', before.pid === process.ppid); // → in its place: true
    cluster.disconnect();
  }
});
