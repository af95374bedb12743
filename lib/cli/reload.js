'use strict';
// `rsipc reload NAME`: exchanges the workers of a run for new ones.

const { ask } = require('./control.js');
const { UsageError } = require('./options.js');
const { checkName } = require('./places.js');
const { plural } = require('./text.js');

const usage = `usage: rsipc reload NAME

Exchanges the workers of a run for new ones, which have the program as it is now; each old one serves until its
successor is ready. If a new one does not get ready, the old ones stay, and the exit code is 1.
`;

async function main({ words: [name] }) {
  if (name === undefined) throw new UsageError('name a run', usage);
  const { workers } = await ask(checkName(name), { does: 'reload' });
  process.stdout.write(`${name} has ${plural(workers.filter(({ state }) => state !== 'leaving').length, 'new worker')}\n`);
  return 0;
}

module.exports = { summary: 'exchanges the workers of a run for new ones', usage, options: {}, most: 1, main };
