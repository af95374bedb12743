'use strict';
// Which cluster a process has. In a primary it is ours, with the connections in Rust; in a worker, and where the native
// part is missing, it is Node's own.

const EventEmitter = require('node:events');
const { syncBuiltinESMExports } = require('node:module');
const nodeCluster = require('node:cluster');
const native = require('../binding.js');
const { LIBUV } = require('../fork/settings.js');

// On Node's object once it is ours. Two copies of rsipc may be loaded.
const kOurs = Symbol.for('rsipc.cluster');
const can = nodeCluster.isPrimary && native.Primary !== undefined && LIBUV;

let own;

function cluster() {
  if (!can || nodeCluster[kOurs]) return nodeCluster;
  return own ??= require('./primary.js').equip(new EventEmitter());
}

// From here on Node's own object is ours, however a program comes by it.
function installEverywhere() {
  if (!can || nodeCluster[kOurs]) return;
  own = require('./primary.js').equip(nodeCluster);
  Object.defineProperty(nodeCluster, kOurs, { value: true });
  syncBuiltinESMExports();
}

module.exports = { cluster, installEverywhere };
