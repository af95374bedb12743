const { fork } = require('rsipc'); // was: require('node:child_process')

const child = fork(`${__dirname}/child.js`);
child.on('message', (message) => {
  console.log(message); // → { sum: 3 }
  child.disconnect();
});
child.on('exit', (code) => console.log('exit', code)); // → exit 0
child.send({ add: [1, 2] });
