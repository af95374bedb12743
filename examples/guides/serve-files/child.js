const { connect } = require('rsipc');

(async () => {
  // With reconnect it waits for the directory, not for a reader: what it writes is there when one comes.
  const writer = await connect('file:/tmp/rsipc-guide-files/', { reconnect: true });
  writer.send({ job: 1 });
  writer.send({ job: 2 });
  await writer.close();
  console.log('written'); // → written
})();
