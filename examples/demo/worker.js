'use strict';

// A worker of the demo. Plain Node: it needs nothing but process.send and process.on('message'),
// and runs the same under child_process.fork.

const { countFile } = require('./count.js');

process.on('message', async (message, socket) => {
  if (message.type === 'connection') return answer(socket);
  // Latin-1 stands for bytes, one character each: a path need not be UTF-8.
  const result = await countFile(Buffer.from(message.path, 'latin1'));
  process.send({ id: message.id, ...result });
});

// The parent has let go, or is gone.
process.on('disconnect', () => process.exit());

/** Reads what the client says and answers it, on a connection that another process accepted. */
function answer(socket) {
  socket.once('data', (greeting) => socket.end(`${greeting}, this is process ${process.pid}`));
}
