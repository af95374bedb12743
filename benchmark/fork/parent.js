'use strict';

// One measurement in a process of its own: loads the module, runs one scenario, prints the value.
// Started by ../rounds.mjs; the argument is JSON: { moduleName, file, childCpu, … the scenario's own }.

const path = require('node:path');

const job = JSON.parse(process.argv[2]);

// A plain throw in a listener or a rejection ends the process with its stack on stderr; 'exit'
// handlers in peer.js then end the children.
process.on('unhandledRejection', (error) => { throw error; });

const scenario = require(path.join(__dirname, 'scenarios', job.file));
// The module is loaded only where it is used in this process.
const { fork } = job.file === 'require-time.js' ? {} : require(job.moduleName);

scenario({ ...job, fork }).then((value) => {
  if (!(value >= 0)) throw new Error(`not a measurement: ${value}`);
  process.stdout.write(JSON.stringify({ value }));
});
