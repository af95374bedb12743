'use strict';

// The common part of the two pools' programs: run tasks, hold each answer against the expected
// one, and write both down.

const { deserialize, serialize } = require('node:v8');
const { isDeepStrictEqual } = require('node:util');
const { Report, messageOf, show } = require('./report.cjs');
const work = require('./work.cjs');

class PoolTest {
  report = new Report();

  /** A task that must give `expected`. */
  async gives(name, expected, start) {
    let value;
    try {
      value = await start();
    } catch (error) {
      this.report.add(name, 'failed', describe(error));
      return;
    }
    if (isDeepStrictEqual(value, expected)) this.report.add(name, 'passed', show(value));
    else this.report.add(name, 'wrong', `${show(value)}, not ${show(expected)}`);
  }

  /** A task that must fail with `message`, and `code` if one is given; its name ends in [fails]. */
  async fails(name, { message, code }, start) {
    try {
      this.report.add(name, 'passed', show(await start()));
    } catch (error) {
      const asExpected = message instanceof RegExp ? message.test(error.message) : error.message === message;
      this.report.add(name, asExpected && error.code === code ? 'failed' : 'wrong', describe(error));
    }
  }

  /** A task of the catalogue: the answer is the one the function gives here, as JSON carries it. */
  async catalogued({ name, method, argument }, start) {
    let expected;
    try {
      expected = await work[method](overJson(argument));
    } catch (error) {
      await this.fails(name, error, start);
      return;
    }
    await this.gives(name, overJson(expected), start);
  }
}

/** Pools reject with errors and with plain objects made from errors. */
function describe(error) {
  return `${error.name}: ${messageOf(error.message)} code ${error.code}`;
}

function overJson(value) {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}

function ring() {
  const value = { name: 'ring', list: [] };
  value.list.push(value);
  return value;
}

/** Values only the advanced serialization carries; each comes back as a structured clone of itself. */
const STRUCTURED = Object.entries({
  'undefined within': { a: undefined, b: [undefined] },
  'not a number and the infinities': [NaN, Infinity, -Infinity, -0],
  'great integers': [2n ** 200n, -(2n ** 63n)],
  'dates': [new Date(0), new Date(8.64e15), new Date(-1)],
  'patterns': [/a+/gi, /\u{1f600}/u],
  'maps and sets': new Map([[{ key: 1 }, new Set(['a', new Map([[1, 2]])])]]),
  'boxed values': [Object('a'), Object(1), Object(true)],
  'an array with holes': [1, , 3, , ,], // eslint-disable-line no-sparse-arrays
  'a ring': ring(),
  'the same object twice': ((shared) => [shared, shared])({ one: 1 }),
  'bytes': Uint8Array.from({ length: 256 }, (unused, n) => n),
  'a view on the middle of a buffer': new Uint16Array(new Uint16Array([1, 2, 3, 4]).buffer, 2, 2),
  'other numbers': [new Float64Array([0.1, NaN]), new BigInt64Array([1n, -1n]), new Int8Array([-1])],
  'a bare buffer': new Uint8Array([1, 2, 3]).buffer,
  'a data view': new DataView(new Uint8Array([1, 2, 3, 4]).buffer, 1, 2),
  'four megabytes': new Uint8Array(2 ** 22).fill(7),
  // Its stack is carried too, and would name the loader that ran this file.
  'an error': Object.assign(new RangeError('carried, not thrown'), { stack: 'RangeError: carried, not thrown' }),
}).map(([name, value]) => ({ name, value, expected: deserialize(serialize(value)) }));

module.exports = { PoolTest, STRUCTURED };
