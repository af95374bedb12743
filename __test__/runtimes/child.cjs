'use strict';
// Returns every message. Knows nothing of rsipc.

process.on('message', (message) => process.send(message));
