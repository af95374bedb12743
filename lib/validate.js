'use strict';
// Argument checks, worded as Node words them.

const { node } = require('./errors.js');

function object(value, name) {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw node.invalidType(name, 'of type object', value);
}

function callable(value, name) {
  if (typeof value !== 'function') throw node.invalidType(name, 'of type function', value);
}

function boolean(value, name) {
  if (typeof value !== 'boolean') throw node.invalidType(name, 'of type boolean', value);
}

// A number within [min, max]; Infinity counts when max is Infinity.
function number(value, name, min = 0, max = Infinity) {
  if (typeof value !== 'number') throw node.invalidType(name, 'of type number', value);
  if (!(value >= min && value <= max)) throw node.outOfRange(name, `>= ${min} && <= ${max}`, value);
}

// A whole number within [min, max], as Node words it.
function integer(value, name, min = 0, max = Number.MAX_SAFE_INTEGER) {
  if (typeof value !== 'number') throw node.invalidType(name, 'of type number', value);
  if (!Number.isInteger(value)) throw node.outOfRange(name, 'an integer', value);
  if (value < min || value > max) throw node.outOfRange(name, `>= ${min} && <= ${max}`, value);
}

// How much of something there may be: a whole number, or Infinity for any.
function amount(value, name, min = 0) {
  if (value !== Infinity) integer(value, name, min);
}

function oneOf(value, name, choices) {
  if (!choices.includes(value)) {
    throw node.invalidValue(name, value, `must be one of: ${choices.map((choice) => `'${choice}'`).join(', ')}`);
  }
}

function signal(value, name) {
  if (value !== undefined && (value === null || typeof value !== 'object' || !('aborted' in value) || typeof value.addEventListener !== 'function')) {
    throw node.invalidType(name, 'an instance of AbortSignal', value);
  }
}

module.exports = { object, callable, boolean, number, integer, amount, oneOf, signal };
