'use strict';

// The other end in every scenario: a plain Node program that knows nothing of rsipc. Its role is
// its first argument, the kind of message its second.

const { readSync } = require('node:fs');
const { KINDS, Tally, mix } = require('./payload.js');
const { flood } = require('./flood.js');

const [role, kindName] = process.argv.slice(2);
const kind = KINDS[kindName];

const roles = {
  /** Sends one message at once; the time until it arrives is what is measured. */
  hello() {},

  /** Returns every message. */
  echo() {
    process.on('message', (message) => process.send(message));
  },

  /** Counts messages until one says `end`, and reports. */
  count() {
    let tally = new Tally(kind);
    process.on('message', (message) => {
      if (message.end) {
        process.send(tally.report());
        tally = new Tally(kind);
      } else if (message.sleep) {
        process.send({ asleep: true });
        sleepUntilStdinEnds();
      } else {
        tally.add(message);
      }
    });
  },

  /** Sends as many messages as it is asked for. */
  flood() {
    process.on('message', ({ total }) => flood(process, kind, total, () => process.send({ end: true })));
  },

  /** Counts and closes the sockets it is given. */
  sockets() {
    let got = { count: 0, checksum: 0, ports: 0 };
    process.on('message', (message, socket) => {
      if (message.end) {
        process.send(got);
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
};

/**
 * Blocks the whole process, so that nothing is read from the channel. The parent wakes it by closing
 * the pipe; should the parent die, the pipe closes as well and no sleeper is left behind.
 */
function sleepUntilStdinEnds() {
  readSync(0, Buffer.alloc(1));
}

roles[role]();

// Says what else is in this process, so that the parent can refuse a child that is not plain Node.
process.send({
  ready: true,
  modules: Object.keys(require.cache),
  execArgv: process.execArgv,
  nodeOptions: process.env.NODE_OPTIONS ?? '',
});
