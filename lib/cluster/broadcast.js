'use strict';
// One message to all workers, and what became of it at each.

const { node } = require('../errors.js');
const validate = require('../validate.js');

async function sent(worker, message, options) {
  try {
    if (!worker.isConnected()) throw node.channelClosed();
    if (options.receipt) await worker.send(message, undefined, options);
    else await new Promise((resolve, reject) => { worker.send(message, undefined, {}, (error) => (error ? reject(error) : resolve())); });
    return { worker, error: null };
  } catch (error) {
    return { worker, error };
  }
}

// Resolves with { worker, error } for each worker. Without `receipt` a message is done when the system has it.
async function broadcast(cluster, message, options = {}) {
  validate.object(options, 'options');
  if (message === undefined) throw node.missingMessage();
  return Promise.all(Object.values(cluster.workers).map((worker) => sent(worker, message, options)));
}

module.exports = { broadcast };
