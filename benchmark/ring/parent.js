'use strict';

// One measurement in a process of its own, as ../fork/parent.js: loads the module, runs one scenario, prints the value.

const path = require('node:path');

const job = JSON.parse(process.argv[2]);
process.on('unhandledRejection', (error) => { throw error; });

const scenario = require(path.join(__dirname, 'scenarios', job.file));
const { fork, Ring } = require(job.moduleName);

scenario({ ...job, fork, Ring }).then((value) => {
  if (!(value >= 0)) throw new Error(`not a measurement: ${value}`);
  process.stdout.write(JSON.stringify({ value }));
});
