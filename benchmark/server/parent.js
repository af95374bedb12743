'use strict';

// One measurement of this suite: ../measurement.js with a contender of this suite's or of `channel`'s. The job is what
// the scenario says and { rival, moduleName, options }.

const path = require('node:path');
const { measure } = require('../measurement.js');
require('../channel/payload.js'); // its kinds are then known to every scenario

measure(path.join(__dirname, '..'), (job) => require(path.join(__dirname, '../channel/rivals', job.rival)).contender(job));
