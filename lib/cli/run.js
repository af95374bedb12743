'use strict';
// `rsipc run`: runs a server script as a cluster.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { UsageError, whole, duration, bytes } = require('./options.js');

const USAGE = `usage: rsipc run [options] SCRIPT [ARGUMENT …] [-- ARGUMENT …]

Runs a server script, as it is, as a cluster: its workers listen together, one that ends is started again, and all are
exchanged for new ones without losing a request. What begins with a dash and is for the script stands behind --.

  -i, --instances N|max    how many workers; max, the default, is one for each core
  -n, --name NAME          by which ps, logs, reload and stop know it; the default is the script's name
      --replace            takes the place of a run of that name, with what it listens on; starts as usual without one
      --watch[=PATHS]      reloads when files change: in the script's directory and below, or in PATHS (with commas)
      --dotenv FILE        variables for the workers, read again at each reload
      --scheduling WAY     round-robin (the default), shared, least-connections, least-load
      --sticky BY          a client's connections go to one worker: cookie:NAME, ip, header:NAME, query:NAME, proxy
      --reload-timeout T   for a new worker to get ready, and then for the old one to end (30s)
      --stop-timeout T     for workers to end at a stop; then they are killed (10s)
      --max-restarts N     of workers that had run for less than 10s, in a row; then no more (10)
      --no-view            plain lines, on a terminal too
  -d, --daemon             in the background, with a log
      --log-dir DIR        where the log is: NAME.log (with --daemon, rsipc/log in XDG_STATE_HOME or ~/.local/state)
      --log-size SIZE      of a log file; then the next one is begun (10M)
      --log-files N        how many there may be (5)

SIGHUP reloads. SIGINT and SIGTERM let the workers finish what they serve and stop; a second one kills them.
Exit code: 0 stopped, or every worker has ended by itself; 1 not started; 2 wrong usage; 3 given up, workers ended again
and again; 4 stopped, but workers had to be killed.
`;

const options = {
  instances: { kind: 'value', short: 'i' },
  name: { kind: 'value', short: 'n' },
  replace: { kind: 'flag' },
  watch: { kind: 'optional' },
  dotenv: { kind: 'value' },
  scheduling: { kind: 'value' },
  sticky: { kind: 'value' },
  'reload-timeout': { kind: 'value' },
  'stop-timeout': { kind: 'value' },
  'max-restarts': { kind: 'value' },
  'no-view': { kind: 'flag' },
  daemon: { kind: 'flag', short: 'd' },
  'log-dir': { kind: 'value' },
  'log-size': { kind: 'value' },
  'log-files': { kind: 'value' },
};

const WAYS = ['round-robin', 'shared', 'least-connections', 'least-load'];
const MOST_WORKERS = 1024;

function sticky(text) {
  const [, by, name] = /^(cookie|header|query|ip|proxy)(?::(.+))?$/.exec(text) ?? [];
  const named = by === 'cookie' || by === 'header' || by === 'query';
  if (by === undefined || named !== (name !== undefined)) {
    throw new UsageError(`--sticky is cookie:NAME, header:NAME, query:NAME, ip or proxy, not ${text}`);
  }
  return named ? { by, name } : { by };
}

// The file that Node would run.
function scriptAt(text) {
  const full = path.resolve(text);
  try {
    return fs.statSync(full).isFile() ? full : require.resolve(full);
  } catch {
    try {
      return require.resolve(full);
    } catch {
      throw new Error(`there is no script ${text}`);
    }
  }
}

// Paths are made absolute, and looked at while somebody is there to be told.
function settingsFrom({ options: given, words, behind }) {
  const { checkName, nameOf, logOf } = require('./places.js');
  const [scriptText, ...args] = words;
  if (scriptText === undefined) throw new UsageError('name a script');
  const instances = given.instances === undefined || given.instances === 'max'
    ? os.availableParallelism()
    : whole(given.instances, '--instances', 1, MOST_WORKERS);
  if (given.scheduling !== undefined && !WAYS.includes(given.scheduling)) {
    throw new UsageError(`--scheduling is ${WAYS.join(', ')}, not ${given.scheduling}`);
  }
  const name = given.name === undefined ? undefined : checkName(given.name);
  const numbers = {
    reloadTimeout: duration(given['reload-timeout'] ?? '30s', '--reload-timeout'),
    stopTimeout: duration(given['stop-timeout'] ?? '10s', '--stop-timeout'),
    maxRestarts: whole(given['max-restarts'] ?? '10', '--max-restarts', 0),
    logSize: bytes(given['log-size'] ?? '10M', '--log-size'),
    logFiles: whole(given['log-files'] ?? '5', '--log-files', 1, 1000),
  };
  const stickyBy = given.sticky === undefined ? undefined : sticky(given.sticky);
  if (stickyBy !== undefined && given.scheduling === 'shared') throw new UsageError('--sticky needs another --scheduling than shared');

  const script = scriptAt(scriptText);
  const there = (text, what) => {
    const full = path.resolve(text);
    if (!fs.existsSync(full)) throw new Error(`there is no ${what} ${text}`);
    return full;
  };
  const settings = {
    ...numbers,
    script,
    args: [...args, ...behind],
    name: name ?? nameOf(script),
    instances,
    scheduling: given.scheduling,
    sticky: stickyBy,
    daemon: given.daemon === true,
    replace: given.replace === true,
    view: given['no-view'] !== true,
    dotenv: given.dotenv === undefined ? undefined : there(given.dotenv, 'file'),
    watch: given.watch === undefined ? undefined
      : given.watch.length > 0 ? given.watch.map((each) => there(each, 'file or directory')) : [path.dirname(script)],
  };
  const keepsLog = settings.daemon || given['log-dir'] !== undefined;
  settings.log = keepsLog ? logOf(settings.name, given['log-dir'] && path.resolve(given['log-dir'])) : undefined;
  return settings;
}

async function main(parsed) {
  const settings = settingsFrom(parsed);
  if (settings.daemon) return require('./daemon.js').start(settings);
  const { Plain, Screen, ToLog } = require('./sinks.js');
  const { Log } = require('./log.js');
  const { conduct } = require('./conduct.js');
  return conduct(settings, (status) => [
    settings.view && process.stdout.isTTY && process.env.TERM !== 'dumb' ? new Screen(status) : new Plain(),
    ...(settings.log === undefined ? [] : [new ToLog(new Log(settings.log, { most: settings.logSize, files: settings.logFiles }))]),
  ]);
}

module.exports = { summary: 'runs a server script as a cluster', usage: USAGE, options, behind: 'what the script is to get', main };
