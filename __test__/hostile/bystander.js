'use strict';
// What holds around every hostile test: an honest child is served before and after, and afterwards the
// hostile ones are gone and no descriptor is left.

const { before, after, afterEach } = require('node:test');
const { endAll } = require('./peer.js');
const { opened, settles, Witness } = require('./ledger.js');

// Sets it up for the file that calls. `warmUp` runs before descriptors are counted. Answers an object that
// has `witness` and `open`, the descriptors there were, once the tests run.
function withBystander(warmUp) {
  const around = { witness: undefined, open: undefined };
  before(async () => {
    around.witness = new Witness();
    await around.witness.check();
    await warmUp?.();
    around.open = await opened();
  });
  afterEach(async () => {
    await around.witness.check();
    await endAll();
    await settles(around.open);
  });
  after(() => around.witness.end());
  return around;
}

module.exports = { withBystander };
