'use strict';

// One measurement of this suite: ../measurement.js with the module's `fork`, and an unmodified Node child.

const path = require('node:path');
const { measure } = require('../measurement.js');
const { end, start } = require('./peer.js');

measure(path.join(__dirname, 'scenarios'), ({ file, moduleName, childCpu }) => {
  // The module is loaded only where it is used in this process.
  if (file === 'require-time.js') return {};
  const { fork } = require(moduleName);
  return { fork, start: (args, options) => start(fork, childCpu, args, options), end };
});
