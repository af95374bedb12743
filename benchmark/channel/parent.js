'use strict';

// One measurement of this suite: ../measurement.js with a contender out of rivals/. The job is what the scenario says
// and { rival, moduleName, options }.

const path = require('node:path');
const { measure } = require('../measurement.js');
require('./payload.js'); // its kinds are then known to every scenario

measure(path.join(__dirname, '..'), (job) => require(path.join(__dirname, 'rivals', job.rival)).contender(job));
