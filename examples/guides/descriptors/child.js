const fs = require('node:fs');
const { parent } = require('rsipc');

parent.on('message', (message, fd) => {
  const firstLine = fs.readFileSync(fd.fd, 'utf8').split('\n')[0];
  console.log(fd.kind, firstLine); // → file const fs = require('node:fs');
  fd.close();
});
