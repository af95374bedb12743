'use strict';
// An honest child without rsipc: says every message back, and a handle with it.

process.on('message', (message, handle) => {
  if (handle === undefined) process.send(message);
  else process.send(message, handle, () => handle.close?.()); // a server of its own would keep it alive
});
