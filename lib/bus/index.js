'use strict';
// Topics: who publishes and who subscribes need not know each other.

module.exports = {
  openBus: require('./bus.js').openBus,
  BroadcastChannel: require('./broadcast-channel.js').BroadcastChannel,
};
