'use strict';
// The ends that a link can be.
//
// `offers`: which of the two makes the memory that both share; `who`: how texts name the other one; `kill`: ends
// the process that has it, where this is known and ours to do.

const PARENT = Object.freeze({
  offers: true,
  who: (child) => `the child (pid ${child.pid})`,
  kill: (child) => child.kill?.('SIGKILL'),
});

const CHILD = Object.freeze({ offers: false, who: () => 'the parent' });

// The ends of a pair, whoever has them.
const FIRST = Object.freeze({ offers: true, who: () => 'the other end' });
const SECOND = Object.freeze({ offers: false, who: () => 'the other end' });

module.exports = { PARENT, CHILD, FIRST, SECOND };
