const { fork } = require('rsipc');

const child = fork(`${__dirname}/child.js`);
child.on('message', (message) => {
  console.log(message); // → from a thread: ready
  // → from a thread: got work
  if (message === 'from a thread: ready') child.send('work');
  else child.disconnect();
});
