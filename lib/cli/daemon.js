'use strict';
// `rsipc run --daemon`: the run in a process of its own, which outlives who started it. This file is both: what starts
// it, and, as a program, the daemon.

const { fork } = require('node:child_process');
const fs = require('node:fs');

const PATIENCE = 10_000; // with a program that does not listen

// ---- who starts it ----

// Answers the exit code. Says that it runs once a worker listens, or why it does not. `cwd`: where, if not here.
function start(settings, cwd) {
  const stderr = require('./log.js').open(settings.log); // for what Node itself has to say of the daemon's end
  return new Promise((resolve, reject) => {
    const child = fork(__filename, [], { cwd, detached: true, stdio: ['ignore', 'ignore', stderr, 'ipc'] });
    fs.closeSync(stderr);
    child.once('error', reject);
    child.once('exit', (code, signal) => reject(new Error(`the daemon ended at once (${signal ?? `exit code ${code}`}); see ${settings.log}`)));
    child.once('message', ({ started, error, code, why }) => {
      child.removeAllListeners('exit');
      child.disconnect();
      child.unref();
      if (error !== undefined) {
        reject(Object.assign(new Error(error.message), error.code !== undefined && { code: error.code }));
      } else if (code !== undefined) {
        process.stderr.write(`rsipc: ${settings.name}: ${why}; see ${settings.log}\n`);
        resolve(code);
      } else {
        const where = started.addresses.length > 0 ? `listens on ${started.addresses.join(', ')}` : 'runs; nothing listens yet';
        process.stdout.write(`${settings.name} ${where} (pid ${started.pid}), log ${settings.log}\n`);
        resolve(0);
      }
    });
    child.send(settings);
  });
}

// ---- the daemon ----

async function become(settings) {
  const { Log } = require('./log.js');
  const { ToLog } = require('./sinks.js');
  const { conduct, EXIT } = require('./conduct.js');
  process.title = `rsipc run ${settings.name}`;
  let log;
  let told = false;
  const tell = (message) => {
    if (told) return;
    told = true;
    // Who has asked may be gone.
    if (process.connected) process.send(message, () => process.connected && process.disconnect());
  };
  process.on('uncaughtException', (error) => {
    log?.write('rsipc', String(error.stack).split('\n'));
    process.exit(EXIT.failed); // and the workers with it
  });
  try {
    const code = await conduct(settings, () => {
      log = new Log(settings.log, { most: settings.logSize, files: settings.logFiles });
      return [new ToLog(log)];
    }, (run) => {
      const started = () => tell({ started: run.status() });
      run.once('ready', started);
      setTimeout(() => run.inPlace && started(), PATIENCE).unref();
      run.once('end', (status, why) => tell({ code: status, why }));
    });
    process.exitCode = code;
  } catch (error) {
    tell({ error: { message: error.message, code: error.code } });
    process.exitCode = EXIT.failed;
  }
}

if (require.main === module) process.once('message', become);

module.exports = { start };
