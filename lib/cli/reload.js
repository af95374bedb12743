'use strict';
// `rsipc reload NAME`: exchanges the workers of a run for new ones.

const { ask } = require('./control.js');
const { UsageError } = require('./options.js');
const { checkName } = require('./places.js');
const { plural } = require('./text.js');

const usage = `usage: rsipc reload NAME [--primary]

Exchanges the workers of a run for new ones, which have the program as it is now; each old one serves until its
successor is ready. If a new one does not get ready, the old ones stay, and the exit code is 1.

  --primary   exchanges the run itself as well, which is in the background: for another version of Node or of rsipc, or
              this shell's environment
`;

// A new daemon with the settings of the old one, whose place it takes.
async function exchange(name) {
  const { cwd, ...settings } = await ask(name, { does: 'settings' });
  if (!settings.daemon) throw new Error(`${name} runs in the foreground; \`rsipc run --replace\` takes its place from another terminal`);
  return require('./daemon.js').start({ ...settings, replace: true }, cwd);
}

async function main({ options: { primary }, words: [name] }) {
  if (name === undefined) throw new UsageError('name a run', usage);
  if (primary) return exchange(checkName(name));
  const { workers } = await ask(checkName(name), { does: 'reload' });
  process.stdout.write(`${name} has ${plural(workers.filter(({ state }) => state !== 'leaving').length, 'new worker')}\n`);
  return 0;
}

module.exports = { summary: 'exchanges the workers of a run for new ones', usage, options: { primary: { kind: 'flag' } }, most: 1, main };
