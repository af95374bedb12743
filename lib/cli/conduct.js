'use strict';
// One run from its beginning to its end, in this process: the supervisor, and who may tell it what to do: signals,
// changed files, and the control socket.

const fs = require('node:fs');
const { claim } = require('./control.js');
const { Supervisor, EXIT } = require('./supervisor.js');

// A terminal that is closed sends SIGHUP as well; then it cannot be opened any more.
function terminalGone() {
  if (!process.stdin.isTTY && !process.stdout.isTTY) return false;
  try {
    fs.closeSync(fs.openSync('/dev/tty', 'r'));
    return false;
  } catch {
    return true;
  }
}

// `sinksFor(status)` makes what the run writes to. `onStart` is called with the supervisor once the name is taken.
// Answers the exit code.
async function conduct(settings, sinksFor, onStart = () => {}) {
  const run = new Supervisor(settings);
  const ended = new Promise((resolve) => run.once('end', (code, why) => resolve({ code, why })));
  const quietly = () => {}; // the run has said it in a line
  const answers = {
    status: () => run.status(),
    settings: () => ({ ...settings, cwd: process.cwd() }),
    reload: async () => {
      await run.reload('asked for by rsipc reload');
      return run.status();
    },
    stop: async ({ now }) => {
      if (!run.stopping) run.stop('asked for by rsipc stop');
      if (now === true) run.kill();
      return ended;
    },
  };
  // A run that takes the place of another one gets its name together with that.
  let server = settings.replace ? undefined : await claimed(settings, answers);
  run.on('replaced', () => server?.close());
  const succeed = async (before) => {
    try {
      server ??= await claimed(settings, answers);
    } catch (error) {
      if (before === null) throw error;
      run.emit('line', `only signals reach it: ${error.message}`); // it serves already
    }
  };

  const signals = {
    SIGHUP: () => (terminalGone() ? run.stop('the terminal is gone') : run.reload('SIGHUP').catch(quietly)),
    SIGINT: () => run.stop('SIGINT'),
    SIGTERM: () => run.stop('SIGTERM'),
  };
  for (const [signal, does] of Object.entries(signals)) process.on(signal, does);

  let watch;
  let sinks = [];
  try {
    sinks = sinksFor(() => run.status());
    run.on('line', (text) => sinks.forEach((sink) => sink.line(text)));
    run.on('output', (...output) => sinks.forEach((sink) => sink.output(...output)));
    // Whoever read has gone: `rsipc run … | head`.
    for (const stream of [process.stdout, process.stderr]) {
      stream.on('error', () => {
        if (!run.stopping) run.stop('nobody reads its output any more');
      });
    }
    if (settings.watch !== undefined) {
      const { Watch } = require('./watch.js');
      const paths = [...settings.watch, ...(settings.dotenv === undefined ? [] : [settings.dotenv])];
      watch = new Watch(paths);
      watch.on('change', (file) => run.stopping || run.reload(`${file} has changed`).catch(quietly));
      watch.on('problem', (error) => run.emit('line', `not everything is watched: ${error.message}`));
    }
    run.start(settings.replace || server !== undefined ? succeed : undefined);
    onStart(run);
    const { code, why } = await ended;
    run.emit('line', why);
    return code;
  } catch (error) {
    // Nothing has been started, or what has is to end with us.
    run.kill();
    throw error;
  } finally {
    watch?.close();
    server?.close();
    for (const sink of sinks) sink.close();
    for (const [signal, does] of Object.entries(signals)) process.removeListener(signal, does);
    // Node aborts when it gives back a terminal that is not there any more.
    if (terminalGone()) process.kill(process.pid, 'SIGHUP');
  }
}

// Where there is no run directory, a run has no name, and only signals tell it what to do.
async function claimed(settings, answers) {
  try {
    return await claim(settings.name, answers);
  } catch (error) {
    if (error.code === 'ERR_RSIPC_NOT_AVAILABLE' && !settings.daemon) return undefined;
    throw error;
  }
}

module.exports = { conduct, EXIT };
