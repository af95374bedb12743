const { fork } = require('rsipc');

const child = fork(`${__dirname}/child.js`, {
  maxMessageSize: 1_000, // bytes
  maxDepth: 10, // levels
  onProtocolError: 'drop', // default: 'disconnect'; harsher: 'kill'
});
child.on('protocolError', ({ code }) => {
  console.log(code); // → ERR_RSIPC_MALFORMED_FRAME
  // → ERR_RSIPC_MESSAGE_TOO_LARGE
  // → ERR_RSIPC_TOO_DEEP
});
child.on('message', (message) => console.log(message)); // → still here
