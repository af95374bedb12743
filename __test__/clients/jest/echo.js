'use strict';

// Sends every message back, and ends when its parent disconnects.

process.on('message', (message) => process.send(message));
