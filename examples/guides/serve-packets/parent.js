const { serve } = require('rsipc');

(async () => {
  const log = await serve('unix+dgram:/tmp/rsipc-guide-log', { codec: 'raw' }); // what /dev/log is
  log.on('connection', (program) => {
    program.on('message', async (line) => {
      console.log('of another process:', program.peer.pid !== process.pid); // → of another process: true
      console.log(String(line)); // → <14>guide: it runs
      await program.send(Buffer.from('noted')); // whoever has a name can be answered
      log.close();
    });
  });
})();
