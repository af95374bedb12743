'use strict';

// The other end in every scenario: a plain Node program that knows nothing of rsipc. Its role is
// its first argument, the kind of message its second.

const { KINDS } = require('./payload.js');
const { rolesOf } = require('./roles.js');

const [role, kindName] = process.argv.slice(2);

const roles = {
  ...rolesOf(process, KINDS[kindName]),

  /** Sends one message at once; the time until it arrives is what is measured. */
  hello() {},
};

roles[role]();

// Says what else is in this process, so that the parent can refuse a child that is not plain Node.
process.send({
  ready: true,
  modules: Object.keys(require.cache),
  execArgv: process.execArgv,
  nodeOptions: process.env.NODE_OPTIONS ?? '',
});
