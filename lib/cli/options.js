'use strict';
// What a command line says: options, words, and what stands behind `--`.
//
// `known` has an entry for each option: `flag` (there or not), `value` (`--name value`, `--name=value`), `list` (a value,
// any number of times) or `optional` (a flag, or a list of `--name=value`); in `short`, its letter. `forWhat` says what may
// stand behind `--`; where nothing is said, that are words.

// Wrong use of the command line. `usage` is the text that tells the right one.
class UsageError extends Error {
  constructor(message, usage) {
    super(message);
    this.usage = usage;
  }
}

function parse(args, known, most = Infinity, forWhat = undefined) {
  const options = {};
  const words = [];
  const letters = new Map(Object.entries(known).filter(([, { short }]) => short !== undefined).map(([name, { short }]) => [short, name]));
  const end = args.indexOf('--');
  const behind = end === -1 ? [] : args.slice(end + 1);
  const own = end === -1 ? [...args] : args.slice(0, end);

  while (own.length > 0) {
    const arg = own.shift();
    if (!arg.startsWith('-') || arg === '-') {
      words.push(arg);
      continue;
    }
    const [, shown, joined] = arg.startsWith('--') ? /^(--[^=]*)(?:=(.*))?$/s.exec(arg) : /^(-.)=?(.+)?$/su.exec(arg);
    const name = arg.startsWith('--') ? shown.slice(2) : letters.get(shown.slice(1));
    if (name === undefined || !Object.hasOwn(known, name)) {
      throw new UsageError(`there is no option ${shown}${forWhat === undefined ? '' : `; ${forWhat} stands behind --`}`);
    }
    const { kind } = known[name];
    if (kind === 'flag') {
      if (joined !== undefined) throw new UsageError(`${shown} takes no value`);
      options[name] = true;
    } else if (kind === 'optional') {
      options[name] ??= [];
      if (joined !== undefined) options[name].push(...joined.split(',').filter((part) => part !== ''));
    } else {
      const value = joined ?? own.shift();
      if (value === undefined || value === '') throw new UsageError(`${shown} needs a value`);
      if (kind === 'list') (options[name] ??= []).push(value);
      else options[name] = value;
    }
  }
  if (forWhat === undefined) words.push(...behind.splice(0));
  if (words.length > most) throw new UsageError(most === 0 ? 'name one command' : `name one, not ${words.length}`);
  return { options, words, behind };
}

// ---- values ----

function whole(text, option, min, max = Number.MAX_SAFE_INTEGER) {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!(value >= min && value <= max)) {
    throw new UsageError(`${option} is a whole number${max === Number.MAX_SAFE_INTEGER ? ` from ${min} on` : ` from ${min} to ${max}`}, not ${text}`);
  }
  return value;
}

const DURATIONS = { '': 1, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const LONGEST = 2_147_483_647; // what a timer can hold

// Milliseconds.
function duration(text, option) {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|)$/.exec(text) ?? [];
  const value = Math.round(Number(digits) * DURATIONS[unit]);
  if (!(value >= 1 && value <= LONGEST)) throw new UsageError(`${option} is a time like 500ms, 10s or 2m, not ${text}`);
  return value;
}

const SIZES = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

// Bytes.
function bytes(text, option) {
  const [, digits, unit] = /^(\d+)([kmg]?)$/i.exec(text) ?? [];
  const value = Number(digits) * SIZES[unit?.toLowerCase()];
  if (!(value >= 1024 && Number.isSafeInteger(value))) throw new UsageError(`${option} is a size like 500k, 10M or 1G, from 1k on, not ${text}`);
  return value;
}

module.exports = { UsageError, parse, whole, duration, bytes };
