const fs = require('node:fs');
const { serve } = require('rsipc');

(async () => {
  const server = await serve('file:/tmp/rsipc-guide-files/'); // made for this user alone
  server.on('clientError', (error) => console.log('set aside:', error.code));
  server.on('connection', (writer) => {
    writer.on('message', ({ job }) => {
      console.log('job', job); // → job 1
      if (job === 2) server.close().then(() => fs.rmdirSync('/tmp/rsipc-guide-files')); // → job 2
    });
  });
})();
