const { isMainThread, Worker, workerData } = require('node:worker_threads');
const { parent, ChannelEnd } = require('rsipc');

if (isMainThread) {
  parent.once('message', (message, end) => {
    new Worker(__filename, { workerData: end.transfer() });
  });
} else {
  const end = ChannelEnd.from(workerData);
  end.onRequest(() => 'a thread of the child');
}
