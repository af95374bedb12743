'use strict';
// Which cluster a process has. In a primary it is ours, with the connections in Rust; where the native part is missing
// it is Node's own, and in a worker as well, with channels to its siblings.

const EventEmitter = require('node:events');
const { syncBuiltinESMExports } = require('node:module');
const nodeCluster = require('node:cluster');
const native = require('../binding.js');
const { LIBUV } = require('../fork/settings.js');

// On Node's object once it is ours. Two copies of rsipc may be loaded.
const kOurs = Symbol.for('rsipc.cluster');
const can = nodeCluster.isPrimary && native.Primary !== undefined && LIBUV;

let own;

// Only what is used is loaded.
function equipWorker() {
  if (!nodeCluster.isWorker || nodeCluster.connect !== undefined) return;
  const look = (event) => {
    if (event === 'channel') require('./siblings.js').look();
  };
  nodeCluster.on('newListener', look);
  nodeCluster.on('removeListener', look);
  Object.assign(nodeCluster, {
    connect: (id, options) => require('./siblings.js').connect(id, options),
    siblings: (options) => require('./siblings.js').siblings(options),
  });
}

function cluster() {
  equipWorker();
  if (!can || nodeCluster[kOurs]) return nodeCluster;
  return own ??= require('./primary.js').equip(new EventEmitter());
}

// From here on Node's own object is ours, however a program comes by it.
function installEverywhere() {
  equipWorker();
  if (can && !nodeCluster[kOurs]) {
    own = require('./primary.js').equip(nodeCluster);
    Object.defineProperty(nodeCluster, kOurs, { value: true });
  }
  syncBuiltinESMExports();
}

module.exports = { cluster, installEverywhere };
