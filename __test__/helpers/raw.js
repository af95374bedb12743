'use strict';
// Children that speak to the channel's descriptor themselves, because Node does not know of it. They are not asked for
// rsipc, whatever the default is.

const { fixture } = require('./modules.js');

const raw = (scene, name, args, options) => scene.spawn('sh', ['-c', 'unset NODE_CHANNEL_FD NODE_CHANNEL_SERIALIZATION_MODE NODE_OPTIONS; exec "$@"', 'sh', process.execPath, fixture(name), ...args],
  { stdio: ['ignore', 'pipe', 'inherit', 'ipc'], transport: 'socket', ...options });

// A child that answers handles with each of `answers` in turn and prints the frames it saw.
const rawPeer = (scene, ...answers) => raw(scene, 'fork/raw-peer', answers);

// A child that writes exactly these bytes; `then`: 'end' or 'stay'.
const rawWriter = (scene, then, pieces, options) => raw(scene, 'fork/raw-writer', [then, ...pieces.map((piece) => Buffer.from(piece).toString('base64'))], options);

module.exports = { rawPeer, rawWriter };
