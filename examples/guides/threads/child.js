const { isMainThread, Worker } = require('node:worker_threads');
const { parent } = require('rsipc'); // in the main thread first

if (isMainThread) {
  new Worker(__filename);
} else {
  parent.on('message', (message) => parent.send(`from a thread: got ${message}`));
  parent.send('from a thread: ready'); // written by the thread itself, though the main thread be busy
}
