'use strict';
// Which messages are no user's: those whose `cmd` begins with Node's prefix.

const PREFIX = 'NODE_';

function isInternal(message) {
  return message !== null && typeof message === 'object' && typeof message.cmd === 'string' &&
    message.cmd.length > PREFIX.length && message.cmd.startsWith(PREFIX);
}

module.exports = { PREFIX, isInternal };
