'use strict';
// `rsipc ls` and `rsipc clean`: what shared memory and which servers there are in the run directory,
// and removing what is dead.

const { rsipc } = require('../errors.js');
const { sweep } = require('./control.js');
const { size, plural, table } = require('./text.js');

const ROLES = new Map([[1, 'producer'], [2, 'consumer']]);

const say = (text) => process.stdout.write(`${text}\n`);
const complain = (text) => process.stderr.write(`${text}\n`);

function binding() {
  const native = require('../binding.js');
  if (native.listShared === undefined) throw rsipc.notAvailable('shared memory');
  return native;
}

function users(object) {
  if (object.problem != null) return object.problem;
  const parties = object.parties.map(({ pid, role, alive }) => {
    const does = object.kind.startsWith('ring') ? ` ${ROLES.get(role) ?? 'arriving'}` : '';
    return `${pid}${does}${alive ? '' : ' (dead)'}`;
  });
  if (parties.length > 0) return parties.join(', ');
  return object.inUse ? 'open somewhere' : 'nobody';
}

function list({ options: { json } }) {
  const native = binding();
  const listing = native.listShared();
  if (json) {
    say(JSON.stringify(listing, null, 2));
    return 0;
  }
  say(listing.directory);
  const rows = listing.objects.map((object) => [object.name, object.kind ?? '?', size(object.size ?? undefined), users(object)]);
  rows.push(...listing.servers.map(({ name, alive, pid }) => [name, 'server', '', alive ? String(pid ?? 'somebody') : 'nobody']));
  if (rows.length === 0) say('no objects');
  else say(table([['NAME', 'KIND', 'SIZE', 'USED BY'], ...rows], new Set([2])));
  const killed = listing.servers.filter(({ alive }) => !alive).length;
  const dead = listing.bells.filter(({ alive }) => !alive).length;
  const unused = listing.objects.filter(({ inUse }) => !inUse).length;
  const stale = [];
  if (unused > 0) stale.push(plural(unused, 'object') + ' that nobody uses');
  if (dead > 0) stale.push(plural(dead, 'bell') + ' of dead processes');
  if (killed > 0) stale.push(plural(killed, 'socket') + ' of killed servers');
  if (stale.length > 0) say(`${stale.join(' and ')}: rsipc clean removes ${unused + dead + killed === 1 ? 'it' : 'them'}`);
  for (const name of listing.strangers) say(`not of rsipc: ${JSON.stringify(name)}`);
  return 0;
}

async function remove({ options: { json } }) {
  const native = binding();
  const runs = await sweep();
  const cleaned = { ...native.cleanShared(), runs };
  if (json) {
    say(JSON.stringify(cleaned, null, 2));
  } else {
    const removed = [plural(cleaned.objects, 'object'), plural(cleaned.bells, 'bell')];
    if (cleaned.sockets > 0) removed.push(plural(cleaned.sockets, 'socket'));
    if (cleaned.worlds > 0) removed.push(`what ${plural(cleaned.worlds, 'earlier boot or container')} left`);
    if (runs > 0) removed.push(`what ${plural(runs, 'killed run')} left`);
    say(`removed ${removed.join(', ')}; ${cleaned.kept} in use`);
    for (const problem of cleaned.problems) complain(`rsipc: not removed: ${problem}`);
  }
  return cleaned.problems.length > 0 ? 1 : 0;
}

const options = { json: { kind: 'flag' } };

module.exports = {
  ls: {
    summary: 'lists the shared objects and the servers of this user, and which processes have them',
    usage: `usage: rsipc ls [--json]

Lists the shared objects and the servers of this user: what they are, and which processes have them.

  --json   prints one JSON value instead of text
`,
    options,
    most: 0,
    main: list,
  },
  clean: {
    summary: 'removes objects that no process uses any more, and what killed processes left',
    usage: `usage: rsipc clean [--json]

Removes what no process uses any more: objects that nobody has open, and what processes left that were killed. What is
in use stays.

  --json   prints one JSON value instead of text
`,
    options,
    most: 0,
    main: remove,
  },
};
