'use strict';
// What `setupPrimary` understands beyond Node's settings.

const validate = require('../validate.js');
const { node } = require('../errors.js');

const SCHED_NONE = 1;
const SCHED_RR = 2;

// By name: whether workers accept for themselves, whether the one with the least to do is chosen and not the next, what
// workers say of themselves for that, and whether each has a socket of its own where the system knows how.
const SCHEDULING = {
  'round-robin': { policy: SCHED_RR, least: false, report: '' },
  'least-connections': { policy: SCHED_RR, least: true, report: 'connections' },
  'least-load': { policy: SCHED_RR, least: true, report: 'load' },
  'reuseport': { policy: SCHED_RR, least: false, report: '', apart: true },
  'shared': { policy: SCHED_NONE, least: false, report: '' },
};

const RESPAWN = Object.freeze({ delay: 500, maxDelay: 30_000, limit: 10 });

// What clients can be told apart by, and what that is looked up under: nothing, a token of HTTP, or any text.
const STICKY = { ip: false, proxy: false, cookie: /^[\w!#$%&'*+.^`|~-]+$/, header: /^[\w!#$%&'*+.^`|~-]+$/, query: /./s };
const MOST_NAME = 256; // characters

// What only a process has.
const OF_PROCESSES = ['cwd', 'uid', 'gid', 'stdio', 'detached', 'inspectPort', 'dieWithParent'];

function checkThreads(settings) {
  validate.boolean(settings.threads, 'settings.threads');
  if (!settings.threads) return;
  for (const name of OF_PROCESSES) {
    if (settings[name] !== undefined && settings[name] !== false) throw node.invalidValue(`settings.${name}`, settings[name], 'is not possible for threads');
  }
}

function checkSticky(sticky, scheduling, shared) {
  validate.object(sticky, 'settings.sticky');
  const { by, name, timeout } = sticky;
  validate.oneOf(by, 'settings.sticky.by', Object.keys(STICKY));
  if (shared || scheduling === 'reuseport') throw node.invalidValue('settings.sticky', sticky, 'must not be there where workers accept for themselves');
  if (timeout !== undefined) validate.number(timeout, 'settings.sticky.timeout', 1, 60_000);
  if (STICKY[by] === false) {
    if (name !== undefined) throw node.invalidValue('settings.sticky.name', name, `must not be there with '${by}'`);
    return;
  }
  if (typeof name !== 'string') throw node.invalidType('settings.sticky.name', 'of type string', name);
  if (name.length > MOST_NAME || !STICKY[by].test(name)) {
    throw node.invalidValue('settings.sticky.name', name, `must be the name of a ${by === 'query' ? 'parameter' : by}`);
  }
}

// `policy`: what cannot be changed any more, if there is such.
function check(settings, policy) {
  const { scheduling, respawn, schedulingBudget, stallTimeout, sticky } = settings;
  if (settings.threads !== undefined) checkThreads(settings);
  if (sticky !== undefined) checkSticky(sticky, scheduling, policy === undefined ? scheduling === 'shared' : policy === SCHED_NONE);
  if (scheduling !== undefined && typeof scheduling !== 'function') validate.oneOf(scheduling, 'settings.scheduling', Object.keys(SCHEDULING));
  if (schedulingBudget !== undefined) validate.number(schedulingBudget, 'settings.schedulingBudget', 1, 60_000);
  if (stallTimeout !== undefined) validate.number(stallTimeout, 'settings.stallTimeout', 10, 2 ** 31 - 1);
  if (respawn === undefined || typeof respawn === 'boolean') return;
  if (respawn === null || typeof respawn !== 'object') throw node.invalidType('settings.respawn', 'of type boolean or object', respawn);
  const { delay = RESPAWN.delay, maxDelay = RESPAWN.maxDelay, limit = RESPAWN.limit } = respawn;
  validate.number(delay, 'settings.respawn.delay', 0, 2 ** 31 - 1);
  validate.number(maxDelay, 'settings.respawn.maxDelay', 0, 2 ** 31 - 1);
  validate.amount(limit, 'settings.respawn.limit', 1);
}

function schedulingOf({ scheduling }) {
  if (typeof scheduling === 'function') return { policy: SCHED_RR, least: false, report: '', choose: scheduling };
  return SCHEDULING[scheduling];
}

// undefined when workers are not started again.
function respawnOf({ respawn }) {
  if (respawn === undefined || respawn === false) return undefined;
  return respawn === true ? RESPAWN : { ...RESPAWN, ...respawn };
}

module.exports = { SCHED_NONE, SCHED_RR, check, schedulingOf, respawnOf };
