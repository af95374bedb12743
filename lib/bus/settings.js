'use strict';
// What `openBus` and `subscribe` understand: defaults and checks.

const { node } = require('../errors.js');
const validate = require('../validate.js');

const POLICIES = ['drop-oldest', 'disconnect'];
const MOST_SUBSCRIPTIONS = 16_384; // of one bus

function forBus(endpoint, options) {
  if (typeof endpoint !== 'string') throw node.invalidType('endpoint', 'of type string', endpoint);
  if (!/^(rsipc|unix):/.test(endpoint)) throw node.invalidValue('endpoint', endpoint, 'must begin with \'rsipc:\' or \'unix:\'; a bus is for the processes of one machine');
  validate.object(options, 'options');
  const { allow, mode, maxConnections, maxRetained = 1_024, closeTimeout = 2_000 } = options;
  validate.integer(maxRetained, 'options.maxRetained', 0, 1_000_000);
  validate.number(closeTimeout, 'options.closeTimeout', 0, 2_147_483_647);
  return { maxRetained, closeTimeout, server: { allow, mode, maxConnections }, client: { allow } };
}

function forSubscription(options) {
  validate.object(options, 'options');
  const { retained = false, policy = 'drop-oldest', max = 1_024 } = options;
  validate.boolean(retained, 'options.retained');
  validate.oneOf(policy, 'options.policy', POLICIES);
  validate.integer(max, 'options.max', 1, 1_000_000);
  return { retained, policy, max };
}

module.exports = { POLICIES, MOST_SUBSCRIPTIONS, forBus, forSubscription };
