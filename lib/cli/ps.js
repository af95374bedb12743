'use strict';
// `rsipc ps`: what runs, or the workers of one run.

const { ask } = require('./control.js');
const { checkName, names } = require('./places.js');
const { headLine, workerLines, runLines } = require('./view.js');

const PATIENCE = 2_000;

// A run that has been killed is none; one that does not answer is told as it is.
async function statusOf(name) {
  try {
    return await ask(name, { does: 'status' }, { timeout: PATIENCE });
  } catch (error) {
    if (error.code === 'ERR_RSIPC_NOT_FOUND' || error.code === 'ERR_RSIPC_PEER_GONE') return undefined;
    return { name, state: 'no answer' };
  }
}

async function main({ options: { json }, words: [name] }) {
  if (name !== undefined) {
    const status = await ask(checkName(name), { does: 'status' }, { timeout: PATIENCE });
    process.stdout.write(json ? `${JSON.stringify(status, null, 2)}\n` : `${headLine(status)}\n${workerLines(status.workers).join('\n')}\n`);
    return 0;
  }
  const runs = (await Promise.all(names().map(statusOf))).filter((status) => status !== undefined);
  if (json) process.stdout.write(`${JSON.stringify(runs, null, 2)}\n`);
  else process.stdout.write(runs.length === 0 ? 'nothing runs\n' : `${runLines(runs)}\n`);
  return 0;
}

module.exports = {
  summary: 'lists what `run` runs, or the workers of one',
  usage: `usage: rsipc ps [NAME] [--json]

Lists what \`rsipc run\` runs for this user; with a name, the workers of that run.

  --json   prints one JSON value instead of text
`,
  options: { json: { kind: 'flag' } },
  most: 1,
  main,
};
