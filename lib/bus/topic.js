'use strict';
// Topics are levels joined by dots. In a pattern a level may be `*`, any one, and the last may be `**`, any one or more.

const { node } = require('../errors.js');

const LONGEST = 1_024;

// Why this is no topic, or no pattern; undefined if it is one.
function flaw(text, wild) {
  if (text.length === 0 || text.length > LONGEST) return `must have 1 to ${LONGEST} characters`;
  const levels = text.split('.');
  for (const [index, level] of levels.entries()) {
    if (level === '') return 'must have no empty level';
    if (!level.includes('*')) continue;
    if (!wild) return 'must have no \'*\', which is for patterns';
    if (level !== '*' && !(level === '**' && index === levels.length - 1)) return 'may have \'*\' for a whole level, and \'**\' as its last one';
  }
  return undefined;
}

function check(text, name, wild) {
  if (typeof text !== 'string') throw node.invalidType(name, 'of type string', text);
  const reason = flaw(text, wild);
  if (reason !== undefined) throw node.invalidValue(name, text, reason);
}

// A function that tells whether a topic is one of the pattern's.
function matcher(pattern) {
  if (!pattern.includes('*')) return (topic) => topic === pattern;
  const wanted = pattern.split('.');
  const rest = wanted.at(-1) === '**';
  if (rest) wanted.pop();
  return (topic) => {
    const levels = topic.split('.');
    if (rest ? levels.length <= wanted.length : levels.length !== wanted.length) return false;
    return wanted.every((level, index) => level === '*' || level === levels[index]);
  };
}

const isTopic = (text) => typeof text === 'string' && flaw(text, false) === undefined;
const isPattern = (text) => typeof text === 'string' && flaw(text, true) === undefined;

module.exports = { check, matcher, isTopic, isPattern };
