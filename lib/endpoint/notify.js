'use strict';
// `rsipc.notify(state)`: tells the service manager how this process is, as `sd_notify(3)` does.

const native = require('../binding.js');
const { node, rsipc } = require('../errors.js');

function notify(state) {
  if (typeof state !== 'string') throw node.invalidType('state', 'of type string', state);
  if (native.notifyManager === undefined) throw rsipc.notAvailable('rsipc.notify');
  return native.notifyManager(state);
}

module.exports = { notify };
