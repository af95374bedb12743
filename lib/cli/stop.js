'use strict';
// `rsipc stop NAME`: ends a run.

const { ask } = require('./control.js');
const { UsageError } = require('./options.js');
const { checkName } = require('./places.js');

const usage = `usage: rsipc stop NAME [--now]

Ends a run: its workers finish what they serve, and those that take too long are killed. The exit code is the run's.

  --now   kills the workers at once
`;

async function main({ options: { now }, words: [name] }) {
  if (name === undefined) throw new UsageError('name a run', usage);
  const { code, why } = await ask(checkName(name), { does: 'stop', now: now === true });
  process.stdout.write(`${name}: ${why}\n`);
  return code;
}

module.exports = { summary: 'ends a run', usage, options: { now: { kind: 'flag' } }, most: 1, main };
