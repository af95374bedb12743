const { isMainThread, Worker, workerData } = require('node:worker_threads');
const { fork, channelPair, ChannelEnd } = require('rsipc');

async function main() {
  const [a, b] = channelPair();
  const child = fork(`${__dirname}/child.js`);
  await child.send('for your thread', b, { receipt: true });
  child.disconnect();
  new Worker(__filename, { workerData: a.transfer() }); // could as well be posted to a thread that runs
}

async function thread() {
  const end = ChannelEnd.from(workerData);
  console.log(await end.request('who is there?')); // → a thread of the child
  await end.close();
}

if (isMainThread) main();
else thread();
