'use strict';

// What the pools' workers do: plain functions over semver and lodash, called by name. The same
// functions called in the main process say what the answer must be.

const { createHash } = require('node:crypto');
const _ = require('lodash');
const semver = require('semver');

const sha256 = (data) => createHash('sha256').update(data).digest('hex');

module.exports = {
  /** Which of the versions a range lets in, and its ends. */
  survey({ versions, range }) {
    const inside = versions.filter((version) => semver.satisfies(version, range));
    return {
      inside,
      least: semver.minSatisfying(versions, range),
      greatest: semver.maxSatisfying(versions, range),
      minimum: String(semver.minVersion(range)),
      simple: String(semver.simplifyRange(versions, range)),
    };
  },

  /** What a release does to a version, for every kind of release. */
  releases({ version }) {
    return _.fromPairs(semver.RELEASE_TYPES.map((type) => [type, semver.inc(version, type, 'rc')]));
  },

  sort({ versions }) {
    return semver.sort([...versions]);
  },

  /** Makes orders and reports on them: the work is in the worker, the answer is a page. */
  ledger({ orders, seed }) {
    let state = seed;
    const next = (limit) => {
      state = (state * 1103515245 + 12345) % 2147483648;
      return state % limit;
    };
    const book = _.times(orders, (id) => ({ id, city: `city ${next(9)}`, cents: next(100_000), day: next(365) }));
    return _(book)
      .groupBy('city')
      .mapValues((group) => ({
        orders: group.length,
        cents: _.sumBy(group, 'cents'),
        best: _.maxBy(group, 'cents'),
        days: _.uniq(_.map(group, 'day')).sort((a, b) => a - b),
      }))
      .value();
  },

  words({ text }) {
    return {
      words: _.words(text),
      camel: _.camelCase(text),
      kebab: _.kebabCase(text),
      snake: _.snakeCase(text),
      start: _.startCase(text),
      plain: _.deburr(text),
      escaped: _.escape(text),
    };
  },

  template({ source, values }) {
    return _.template(source)(values);
  },

  /** A long text in, a short digest out. */
  digest({ text }) {
    return { length: text.length, sha256: sha256(text) };
  },

  /** A short order in, a long text out. */
  repeat({ piece, times }) {
    return _.repeat(piece, times);
  },

  echo(value) {
    return value;
  },

  /** Ends late, so that answers overtake one another between workers. */
  async later({ ms, value }) {
    await new Promise((resolve) => { setTimeout(resolve, ms); });
    return value;
  },

  throwError({ message, code }) {
    throw Object.assign(new RangeError(message), { code });
  },

  throwFromSemver({ version }) {
    return new semver.SemVer(version).version;
  },

  async reject({ message }) {
    throw new Error(message);
  },
};
