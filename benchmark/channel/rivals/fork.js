'use strict';

// `fork` of the module under test, and of node:child_process. The child loads the same module.

const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');
const { begin, end, next, pin } = require('../../fork/peer.js');

const CHILD = path.join(__dirname, '..', 'child.js');

/** Milliseconds within which a channel that may leave the socket should have done so. */
const SWITCH = 2_000;

function contender({ moduleName, options, childCpu }) {
  const { fork } = require(moduleName);
  const transports = new Set();
  return {
    fork, options,
    async start([role, kindName], more) {
      const child = begin(fork, CHILD, [path.basename(__filename), role, kindName, moduleName], { ...more, ...options });
      await next(child);
      pin(child.pid, childCpu);
      // By view, a program may say when it has done with a Buffer instead of leaving that to the garbage collector.
      if (options.release) child.release = require(moduleName).release;
      return child;
    },
    /** Waits until a channel that has carried enough has moved to what is faster; goes on with what there is if it does not. */
    async settle({ channel }) {
      const until = performance.now() + SWITCH;
      while (options.transport === 'auto' && channel.transport === 'socket' && performance.now() < until) await sleep(5);
    },
    end(child) {
      // Only now: what was used in the end is what counts.
      if (child.channel.transport !== undefined) transports.add(child.channel.transport);
      return end(child);
    },
    tell: () => ({ transports: [...transports] }),
  };
}

/** The child's end. */
function join(moduleName) {
  require(moduleName);
  return process;
}

module.exports = { contender, join };
