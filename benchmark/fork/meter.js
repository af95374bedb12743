'use strict';

// CPU time of a process between two moments. Loaded by both processes.

/** Returns a function that gives the microseconds of CPU, of all threads, since it was last called. */
function meter() {
  const read = () => {
    const { user, system } = process.cpuUsage();
    return user + system;
  };
  let last = read();
  return () => {
    const before = last;
    last = read();
    return last - before;
  };
}

/** The result of a scenario that counts messages: how many a second, and the CPU time of each at both ends. */
function perMessage(total, { seconds, cpu }) {
  return { value: total / seconds, cpu: cpu.map((used) => used / total) };
}

module.exports = { meter, perMessage };
