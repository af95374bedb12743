'use strict';
// The command line: which command is meant, its help, and how its end becomes an exit code.
//
// A command is a file with `usage`, `summary`, `options` (see options.js), `most` (how many words it takes), `behind` (what
// may stand behind `--`) and `main`, which answers the exit code.

const { UsageError, parse } = require('./options.js');

const COMMANDS = {
  run: () => require('./run.js'),
  ps: () => require('./ps.js'),
  logs: () => require('./logs.js'),
  reload: () => require('./reload.js'),
  stop: () => require('./stop.js'),
  send: () => require('./messages.js').send,
  tail: () => require('./messages.js').tail,
  doctor: () => require('./doctor.js'),
  ls: () => require('./shared.js').ls,
  clean: () => require('./shared.js').clean,
};

const OK = 0;
const FAILED = 1;
const WRONG_USAGE = 2;

function help() {
  const lines = Object.entries(COMMANDS).map(([name, load]) => `  ${name.padEnd(8)} ${load().summary}`);
  return `usage: rsipc <command> [options]

commands
${lines.join('\n')}

rsipc <command> --help tells a command's options, rsipc --version which one this is. ps, doctor, ls and clean know --json.
The run directory is RSIPC_RUN_DIR, else rsipc in XDG_RUNTIME_DIR, else rsipc-<uid> in /dev/shm.
Exit code: 0 all right, 1 something could not be done, 2 wrong usage; run has more.
`;
}

const asks = (args) => {
  const end = args.indexOf('--');
  return (end === -1 ? args : args.slice(0, end)).some((arg) => arg === '--help' || arg === '-h');
};

async function run(args) {
  const at = args.findIndex((arg) => !arg.startsWith('-'));
  const name = args[at];
  if (name === undefined) {
    if (asks(args)) {
      process.stdout.write(help());
      return OK;
    }
    if (args[0] === '--version' || args[0] === '-v') {
      process.stdout.write(`${require('../../package.json').version}\n`);
      return OK;
    }
    throw new UsageError(args.length === 0 ? 'name a command' : `there is no option ${args[0]}`, help());
  }
  if (!Object.hasOwn(COMMANDS, name)) throw new UsageError(`there is no command ${name}`, help());
  const command = COMMANDS[name]();
  const own = args.toSpliced?.(at, 1) ?? args.filter((_, index) => index !== at);
  if (asks(own)) {
    process.stdout.write(command.usage);
    return OK;
  }
  let parsed;
  try {
    parsed = parse(own, command.options, command.most, command.behind);
  } catch (error) {
    if (error instanceof UsageError) error.usage = command.usage;
    throw error;
  }
  return command.main(parsed);
}

// The exit code is set, never `exit` called: what is written to a pipe is on its way when this resolves.
async function main(args) {
  try {
    process.exitCode = await run(args);
  } catch (error) {
    process.exitCode = error instanceof UsageError ? WRONG_USAGE : FAILED;
    process.stderr.write(`rsipc: ${error.message}${error.code === undefined ? '' : ` (${error.code})`}\n`);
    if (error.usage !== undefined) process.stderr.write(`\n${error.usage}`);
  }
}

module.exports = { main };
