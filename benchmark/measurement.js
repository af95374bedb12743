'use strict';

// One measurement in a process of its own: runs one scenario and prints its result as JSON. Each suite has a parent.js
// that calls this; ../rounds.mjs starts that with the job as its argument.

const path = require('node:path');

/**
 * Runs the scenario `job.file`, a path from `directory`. `equip(job)` gives what the scenario gets beside the job: the
 * module under test, and how to start and end the other process; its `tell`, where it has one, is asked at the end for
 * what else is worth knowing. A scenario gives its value, or an object that has it.
 */
function measure(directory, equip) {
  const job = JSON.parse(process.argv[2]);
  // A plain throw in a listener or a rejection ends the process with its stack on stderr; 'exit'
  // handlers in fork/peer.js then end the children.
  process.on('unhandledRejection', (error) => { throw error; });
  const scenario = require(path.join(directory, job.file));
  const equipment = equip(job);
  scenario({ ...job, ...equipment }).then((result) => {
    const { value, ...more } = typeof result === 'object' ? result : { value: result };
    if (!(value >= 0)) throw new Error(`not a measurement: ${value}`);
    process.stdout.write(JSON.stringify({ value, ...equipment.tell?.(), ...more }));
  });
}

module.exports = { measure };
