'use strict';
// `require('rsipc/cluster')`: node:cluster's API, with connections accepted and handed out in Rust. In a worker it is
// Node's own, with channels to its siblings.

module.exports = require('./lib/cluster/index.js').cluster();
