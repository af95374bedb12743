const { fork } = require('rsipc');

const child = fork(`${__dirname}/child.js`);
child.on('message', ({ report }) => {
  console.log('bytes of the report:', report.length); // → bytes of the report: 5000000
});
child.on('exit', (code) => console.log('exit', code)); // → exit 3
