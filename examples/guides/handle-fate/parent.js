const { fork } = require('rsipc');

// The child may send us datagram sockets and nothing else.
const child = fork(`${__dirname}/child.js`, { acceptHandles: ['dgram.Socket'] });
child.on('handleProblem', ({ reason, message }) => {
  console.log(reason, message); // → refused a server for you
});
child.on('message', (message, handle) => {
  console.log('message:', message, handle); // → message: a server for you undefined
});
