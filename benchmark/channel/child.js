'use strict';

// The other end in every scenario but the one about starting: a process of its own or, for MessagePort, a worker. Its
// arguments: the contender's file, the role, the kind of message, and what that contender's end needs to be found.

const path = require('node:path');
const { rolesOf } = require('../fork/roles.js');
const { flood } = require('../fork/flood.js');
const { meter } = require('../fork/meter.js');
const { Tally } = require('../fork/payload.js');
const { KINDS } = require('./payload.js');

const [rival, role, kindName, place] = process.argv.slice(2);
const kind = KINDS[kindName];
const end = require(path.join(__dirname, 'rivals', rival)).join(place, kind);

const roles = {
  ...rolesOf(end, kind),

  /** Sends as many as it is asked for while it counts what comes, and reports when both are through. */
  both() {
    const used = meter();
    let tally = new Tally(kind);
    let open = 2;
    const one = () => {
      open--;
      if (open > 0) return;
      end.send({ end: true, ...tally.report(), cpu: used() });
      tally = new Tally(kind);
      open = 2;
    };
    end.on('message', (message) => {
      if (message.total) flood(end, kind, message.total, one);
      else if (message.end) one();
      else tally.add(message);
    });
  },
};

roles[role]();
end.send({ ready: true, thread: end.thread });
