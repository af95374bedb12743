const { connect } = require('rsipc');

(async () => {
  const log = await connect('unix+dgram:/tmp/rsipc-guide-log', { codec: 'raw', reconnect: true });
  await log.send(Buffer.from('<14>guide: it runs')); // to who is full it waits; nothing is dropped
  for await (const answer of log) {
    console.log(String(answer)); // → noted
    break;
  }
  await log.close();
})();
