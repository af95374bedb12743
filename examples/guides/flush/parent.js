const { fork } = require('rsipc');

const child = fork(`${__dirname}/child.js`);
let sum = 0;
child.on('message', (message) => {
  if (message === 'busy') child.kill('SIGTERM');
  else sum += message.text.length;
});
child.on('exit', (code, signal) => console.log(sum, signal)); // → 2000000 SIGTERM
