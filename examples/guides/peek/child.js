const http = require('node:http');

const server = http.createServer(async (request, response) => {
  let bytes = 0;
  for await (const piece of request) bytes += piece.length;
  response.end(`${process.argv[2]} has ${bytes} bytes`);
});
process.on('message', (message, socket) => {
  if (socket) server.emit('connection', socket); // none: the client has gone meanwhile
});
