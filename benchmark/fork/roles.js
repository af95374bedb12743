'use strict';

// What the other end does, over any end of a channel that sends and has 'message' events. Every report has the CPU time
// that this process used since the one before; the first is that of the warm-up.

const { readSync } = require('node:fs');
const { Tally, mix } = require('./payload.js');
const { flood } = require('./flood.js');
const { meter } = require('./meter.js');

/** The roles of `end`, a channel's end, for messages of `kind`. */
function rolesOf(end, kind) {
  const used = meter();
  return {
    /** Returns every message until one says `end`. */
    echo() {
      end.on('message', (message) => end.send(message.end ? { cpu: used() } : message));
    },

    /** Counts messages until one says `end`, and reports. */
    count() {
      let tally = new Tally(kind);
      end.on('message', (message) => {
        if (message.end) {
          end.send({ ...tally.report(), cpu: used() });
          tally = new Tally(kind);
        } else if (message.sleep) {
          // Only when the answer is on its way: nothing leaves a process that sleeps.
          end.send({ asleep: true }, sleepUntilStdinEnds);
        } else {
          tally.add(message);
        }
      });
    },

    /** Counts and closes the sockets it is given. */
    sockets() {
      let got = { count: 0, checksum: 0, ports: 0 };
      end.on('message', (message, socket) => {
        if (message.end) {
          end.send(got);
          got = { count: 0, checksum: 0, ports: 0 };
          return;
        }
        // A message that came without its socket is not counted.
        if (socket === undefined) return;
        got.count++;
        got.checksum = mix(got.checksum, message.seq);
        got.ports += socket.remotePort;
        socket.on('error', () => {});
        socket.destroy();
      });
    },

    /** Sends as many messages as it is asked for. */
    flood() {
      end.on('message', ({ total }) => flood(end, kind, total, () => end.send({ end: true, cpu: used() })));
    },
  };
}

/**
 * Blocks the whole process, so that nothing is read from the channel. The parent wakes it by closing
 * the pipe; should the parent die, the pipe closes as well and no sleeper is left behind.
 */
function sleepUntilStdinEnds() {
  readSync(0, Buffer.alloc(1));
}

module.exports = { rolesOf };
