const cluster = require('rsipc/cluster');

const id = cluster.worker.id;
const greet = (end) => end.onRequest((name) => `worker ${id} greets ${name}`);

cluster.on('channel', greet); // somebody else has made it

async function main() {
  // Who comes later makes the channels to those who are there.
  for (const other of await cluster.siblings()) {
    const end = await cluster.connect(other);
    greet(end);
    console.log(await end.request(`worker ${id}`)); // → worker 1 greets worker 2
  }
  process.send('ready');
}
main();
