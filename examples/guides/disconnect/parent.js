const { fork } = require('rsipc');

const child = fork(`${__dirname}/child.js`);
for (let number = 1; number <= 2_000; number++) child.send({ number, text: 'x'.repeat(1_000) });
child.disconnect();
console.log(child.connected, child.channel); // → false null
