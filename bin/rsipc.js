#!/usr/bin/env node
'use strict';
// `npx rsipc ls` and `npx rsipc clean`: what shared memory and which servers there are in the run directory, and removing
// what is dead.

const HELP = `usage: rsipc <command> [--json]

commands
  ls       lists the shared objects and the servers of this user: what they are, and which
           processes have them
  clean    removes what no process uses any more: objects that nobody has open, and what
           processes left that were killed. What is in use stays.

options
  --json   prints one JSON value instead of text
  --help   this text

The run directory is RSIPC_RUN_DIR, else rsipc in XDG_RUNTIME_DIR, else rsipc-<uid> in /dev/shm.
Exit code: 0 all right, 1 something could not be done, 2 wrong usage.
`;

const ROLES = new Map([[1, 'producer'], [2, 'consumer']]);
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

function size(bytes) {
  if (bytes === undefined) return '?';
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

const plural = (count, word) => `${count} ${word}${count === 1 ? '' : 's'}`;

function users(object) {
  if (object.problem != null) return object.problem;
  const parties = object.parties.map(({ pid, role, alive }) => {
    const does = object.kind.startsWith('ring') ? ` ${ROLES.get(role) ?? 'arriving'}` : '';
    return `${pid}${does}${alive ? '' : ' (dead)'}`;
  });
  if (parties.length > 0) return parties.join(', ');
  return object.inUse ? 'open somewhere' : 'nobody';
}

// Columns as wide as what is in them; numbers to the right.
function table(rows, right) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) => row.map((cell, column) => {
    if (column === row.length - 1) return cell;
    return right.has(column) ? cell.padStart(widths[column]) : cell.padEnd(widths[column]);
  }).join('  ')).join('\n');
}

function ls(native, json) {
  const listing = native.listShared();
  if (json) {
    console.log(JSON.stringify(listing, null, 2));
    return 0;
  }
  console.log(listing.directory);
  const rows = listing.objects.map((object) => [object.name, object.kind ?? '?', size(object.size ?? undefined), users(object)]);
  rows.push(...listing.servers.map(({ name, alive, pid }) => [name, 'server', '', alive ? String(pid ?? 'somebody') : 'nobody']));
  if (rows.length === 0) console.log('no objects');
  else console.log(table([['NAME', 'KIND', 'SIZE', 'USED BY'], ...rows], new Set([2])));
  const killed = listing.servers.filter(({ alive }) => !alive).length;
  const dead = listing.bells.filter(({ alive }) => !alive).length;
  const unused = listing.objects.filter(({ inUse }) => !inUse).length;
  const stale = [];
  if (unused > 0) stale.push(plural(unused, 'object') + ' that nobody uses');
  if (dead > 0) stale.push(plural(dead, 'bell') + ' of dead processes');
  if (killed > 0) stale.push(plural(killed, 'socket') + ' of killed servers');
  if (stale.length > 0) console.log(`${stale.join(' and ')}: rsipc clean removes ${unused + dead + killed === 1 ? 'it' : 'them'}`);
  for (const name of listing.strangers) console.log(`not of rsipc: ${JSON.stringify(name)}`);
  return 0;
}

function clean(native, json) {
  const cleaned = native.cleanShared();
  if (json) {
    console.log(JSON.stringify(cleaned, null, 2));
  } else {
    const removed = [plural(cleaned.objects, 'object'), plural(cleaned.bells, 'bell')];
    if (cleaned.sockets > 0) removed.push(plural(cleaned.sockets, 'socket'));
    if (cleaned.worlds > 0) removed.push(`what ${plural(cleaned.worlds, 'earlier boot or container')} left`);
    console.log(`removed ${removed.join(', ')}; ${cleaned.kept} in use`);
    for (const problem of cleaned.problems) console.error(`rsipc: not removed: ${problem}`);
  }
  return cleaned.problems.length > 0 ? 1 : 0;
}

const COMMANDS = { ls, clean };

function main(args) {
  const flags = args.filter((arg) => arg.startsWith('-'));
  const words = args.filter((arg) => !arg.startsWith('-'));
  if (flags.includes('--help') || flags.includes('-h')) {
    process.stdout.write(HELP);
    return 0;
  }
  const unknown = flags.find((flag) => flag !== '--json');
  if (unknown !== undefined || words.length !== 1 || !Object.hasOwn(COMMANDS, words[0])) {
    const why = unknown !== undefined ? `there is no option ${unknown}` : words.length === 0 ? 'name a command' : words.length > 1 ? 'name one command' : `there is no command ${words[0]}`;
    process.stderr.write(`rsipc: ${why}\n\n${HELP}`);
    return 2;
  }
  const native = require('../lib/binding.js');
  if (native.listShared === undefined) {
    process.stderr.write(`rsipc: shared memory needs rsipc's native part, which is not loaded here (${process.platform})\n`);
    return 1;
  }
  try {
    return COMMANDS[words[0]](native, flags.includes('--json'));
  } catch (error) {
    process.stderr.write(`rsipc: ${error.message} (${error.code})\n`);
    return 1;
  }
}

process.exitCode = main(process.argv.slice(2));
