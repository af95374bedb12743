'use strict';

// One measurement of this suite: ../measurement.js with the module's `fork` and `Ring`. `start` and `end` are those of
// the suite `fork`, whose scenarios the rival runs.

const path = require('node:path');
const { measure } = require('../measurement.js');
const { end, start } = require('../fork/peer.js');

measure(path.join(__dirname, 'scenarios'), ({ moduleName, childCpu }) => {
  const { fork, Ring } = require(moduleName);
  return { fork, Ring, start: (args, options) => start(fork, childCpu, args, options), end };
});
