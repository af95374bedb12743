'use strict';

// Starts and ends the other process of a measurement. It is started by the module under test, which gives it the rings.

const path = require('node:path');
const { begin, end, next, pin } = require('../fork/peer.js');

const CHILD = path.join(__dirname, 'child.js');
const CAPACITY = 16 * 1024 * 1024;

/** The child in its role, and both rings with our ends of them. */
async function start({ fork, Ring, moduleName, childCpu }, role, options = {}) {
  const child = begin(fork, CHILD, [moduleName, role, JSON.stringify(options)]);
  await next(child);
  pin(child.pid, childCpu);
  const there = Ring.create({ capacity: CAPACITY });
  const back = Ring.create({ capacity: CAPACITY });
  const ends = { producer: there.producer(), consumer: back.consumer() };
  await child.send('there', there, { receipt: true });
  await child.send('back', back, { receipt: true });
  const finish = async () => {
    await end(child);
    there.close();
    back.close();
  };
  return { child, ...ends, finish };
}

module.exports = { start };
